"""The names of files that stand beside a build's models and speak of them."""

RECIPE = "recipe.yaml"  # as resolved
MANIFEST = "manifest.json"
PROVENANCE = "provenance.intoto.json"
BILL = "bom.cdx.json"
SUMS = "SHA256SUMS"
DOCUMENTS = (SUMS, MANIFEST, PROVENANCE, BILL, RECIPE)  # which the manifest stage writes

VERDICT = "ssdconvert:verdict"  # a property in the bill of materials
REPORT = "report.json"
ACCEPTANCE = "acceptance.npz"  # what the original said, for machines that cannot run it
SIGNATURE = "model.sig"
CARD, LICENCE, LABELS = "README.md", "LICENSE", "labels.txt"  # which an archive adds
