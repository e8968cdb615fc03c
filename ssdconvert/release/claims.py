"""What the documents of a build claim, in the parts that are compared. They come from anywhere: nothing is believed."""

import json
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ssdconvert import __version__


class _Claim(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Artefact(_Claim):
    """A file that a manifest lists."""

    path: str
    sha256: str
    bytes: int
    precision: str | None


class Source(_Claim):
    """A file of the original."""

    name: str
    sha256: str
    pinned: bool


class _NamedRecipe(_Claim):
    name: str
    sha256: str
    resolved_sha256: str


class _Convert(_Claim):
    ready: bool = False
    bake: Literal["values", "image"] = "values"


class _Stages(_Claim):
    convert: _Convert


class Manifest(_Claim):
    """manifest.json."""

    schema_version: Literal[1] = Field(alias="schema")
    recipe: _NamedRecipe
    stand_in: bool = False
    tail: Literal["nms", "detection-output", "heads"] | None = None
    sources: tuple[Source, ...]
    evidence: tuple[Source, ...]
    tools: dict[str, str]
    stages: _Stages
    verdict: str
    artifacts: tuple[Artefact, ...]

    @property
    def of_this_version(self) -> bool:
        """Whether this version of ssdconvert made the build: another one has other defaults, and tells more or less."""
        return self.tools.get("ssdconvert") == __version__


class _Digest(_Claim):
    sha256: str


class _Subject(_Claim):
    name: str
    digest: _Digest


class _Dependency(_Claim):
    name: str
    uri: str = ""
    digest: _Digest | None = None


class _Asked(_Claim):
    recipe: dict[str, str]
    stand_in: bool
    tail: str | None
    bake: str


class _Definition(_Claim):
    external: _Asked = Field(alias="externalParameters")
    dependencies: tuple[_Dependency, ...] = Field(alias="resolvedDependencies")


class _Annotated(_Claim):
    annotations: dict[str, Any]


class _Details(_Claim):
    byproducts: tuple[_Annotated, ...] = ()


class _Predicate(_Claim):
    definition: _Definition = Field(alias="buildDefinition")
    details: _Details = Field(alias="runDetails")


class Provenance(_Claim):
    """provenance.intoto.json."""

    subject: tuple[_Subject, ...]
    predicate: _Predicate


class _Hash(_Claim):
    alg: str
    content: str


class _File(_Claim):
    name: str
    hashes: tuple[_Hash, ...] = ()
    purl: str = ""


class _Ancestor(_Claim):
    components: tuple[_File, ...]


class _Pedigree(_Claim):
    ancestors: tuple[_Ancestor, ...]


class _Licence(_Claim):
    id: str = ""
    name: str = ""


class _LicenceChoice(_Claim):
    license: _Licence


class _Model(_Claim):
    name: str
    licenses: tuple[_LicenceChoice, ...]
    components: tuple[_File, ...]
    pedigree: _Pedigree


class _Property(_Claim):
    name: str
    value: str


class _Metadata(_Claim):
    component: _Model
    properties: tuple[_Property, ...]


class Bill(_Claim):
    """bom.cdx.json."""

    metadata: _Metadata
    components: tuple[_File, ...]


class _Judged(_Claim):
    hop: str
    precision: str
    status: Literal["pass", "fail", "skipped", "inconclusive"]


class Report(_Claim):
    """report.json."""

    recipe: str
    verdict: str
    reference_detections: int | None
    checks: tuple[_Judged, ...]


Claim = TypeVar("Claim", bound=_Claim)


def claims_in(content: bytes, kind: type[Claim]) -> Claim:
    """Return what a document claims; ValueError says why it is no such document."""
    try:
        return kind.model_validate(json.loads(content))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise ValueError(f"{'.'.join(map(str, first['loc'])) or 'it'}: {first['msg']}") from error
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    except ValueError as error:
        raise ValueError(f"it is no JSON: {error}") from error
