"""What every test gets: a home and a cache of its own, and the shared files where they are."""

from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(autouse=True)
def own_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or writes the user's home, cache or settings."""
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("SSDCONVERT_CACHE", str(home / "cache"))
    for name in ("SSDCONVERT_MIRROR", "SSDCONVERT_OFFLINE", "SSDCONVERT_RECIPES", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def mirror() -> Path:
    """The folder of published model files."""
    if not (SHARED / "mirror").is_dir():
        pytest.skip("../shared/mirror is not there: published model files are needed")
    return SHARED / "mirror"


@pytest.fixture
def photographs() -> list[Path]:
    """Photographs of faces."""
    paths = sorted((SHARED / "images" / "faces").glob("*.jpg"))
    if not paths:
        pytest.skip("../shared/images/faces is not there: photographs are needed")
    return paths
