"""Fingerprints as storages of format 1 have them, so that what they hold is not made again.

In format 1 a fingerprint held a hash of the source code of plug-ins instead of versions. That code and all versions 1 give the
same outputs, so a table of format 1 is up to date when its fingerprint is the one that the last code of format 1 gives for the
same inputs and settings.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

_IDENTITY = frozenset({"plugin", "version", "head", "settings"})
"""The keys of what `figureground.plugins.identity` gives."""

_WITH_CODE = frozenset({"measures", "mattes", "matte", "adopted"})
"""The stages whose fingerprints held the hash of the plug-in's code."""

_CODE = {
    "checks.distortion": "ce8d6d56adeef7c88454e9fe2fa580efaa2cbec3ea5550fcfe90ceeccb656bda",
    "checks.duplicate": "74fb2fb1341f75e61e7767cf854340833a626630334abacaf31afe8c81421fb1",
    "checks.enlargement": "3cf582a3b03276355723c21cb6b1d6c23a26ca1f498ee727c826acf0fbba2983",
    "checks.excluded_scenes": "defd2adb3ebbd7ac12e3c58acbc34998e22e7be5761863effd6ed418aa339b81",
    "checks.exposure": "f15df8cf211c4f9c8b2fc269049bb9bc77eefdd5332f67cb19a5cf60c2eb3d13",
    "checks.face": "fb3b50c075fbbf569fd94558b92998e3cc18130ff4cc8ae6a551f22b8c51045d",
    "checks.ghosting": "f555968414bf343b7ca5e070f224f634a9531011964928ef7dd8f2288d69d3ea",
    "checks.occlusion": "aa5ded93deefa4ca0d44a5f419b1233481d2e4310da45bd294738140a4c2df99",
    "checks.overlap": "f57ba5deedece01fae4146558a428834e3e007e607752f87e16d34ad542eda2a",
    "checks.sharpness": "2bfa0bfcea3753bfea037befa86006af727f40b99fa02bdf7b87280d4f1d0ede",
    "checks.size": "393c0b34c1be197d457bdf38dc0da15c5498cf0fee38523d250033b11f41be5e",
    "checks.truncation": "776629f718a0e65b0e12c5b6c2498e115fad3a959cc8314a17d03c0a3999749f",
    "removers.person": "9f98eab2f1ce8d69104866ebd9b50dd6dac14a0090e767f698c6e5a462fd3952",
    "removers.rembg": "cb4a68ba936ee8731c3598289d487b4d3564179c2091109b5c927537e9f434b9",
    "removers.rvm": "0552c704ee8cd8a66de164bf656c9330ecf9bcf40cf4fd35d2a5720075417aa2",
    "removers.trained": "eb1fe7c4c5ba5f687a00fe61a4765b73b2a3f84a0433f933c032dd1c82572e1c",
    "layouts.aisegment": "a24dc1181da957a331eb9e98f6e58143a15d920c73af2384c1412830a70a03e1",
    "layouts.coco": "b38315cb3a24e39501422b14a763f4a7487c6d351d75fba6cc1da47368709b1f",
    "layouts.cutouts": "995bea1448891681c88b16a2979b8b575bf4cdcd2b16a98cc49884f9b814bf18",
    "layouts.huggingface": "3bb2b943aadf19cea68ae399b33cf6c3b2215d3547f38919c7637befdbf0f9ac",
    "layouts.human_parsing": "8a4c1557b82d2c4d3d0cfcb075a3b042601d0f428680ea2d1a27e4b8e29537f7",
    "layouts.im_gt": "6f73bf9d6393197a972a78a3f43af2a68e0340f8ef83476c877fec338f8b3bc2",
    "layouts.mmseg_custom": "f0c2d4e9c28cfd3a6268a3fbfd47a8770c6a7f7598d7a2e9126dee6a7180e265",
    "layouts.yolo_seg": "7cd001a343801c3bfa78e3966c3a92bc55b35b8fb406522a849e81385b83a8a4",
}
"""The hash of each plug-in's code in the last code of format 1."""


class _ChangedError(Exception):
    """A version has been raised, or a plug-in is newer than format 1."""


def fingerprint(stage: str, inputs: Sequence[Sequence[str]], settings: Mapping[str, Any]) -> str:
    """Compute the fingerprint of format 1.

    Parameters
    ----------
    stage
        Name of the stage.
    inputs
        Stage, source and SHA-256 of each input table.
    settings
        What the stage depends on besides.

    Returns
    -------
    str
        64 hexadecimal digits, or "" when a plug-in is not the one of format 1.
    """
    if any(version != 1 for version in settings.get("plugin_versions", {}).values()):
        return ""
    try:
        old = _plain(settings, with_code=stage in _WITH_CODE)
    except _ChangedError:
        return ""
    old.pop("plugin_versions", None)
    story = {"stage": stage, "code": "0.1.0", "inputs": inputs, "settings": old}
    return hashlib.sha256(json.dumps(story, sort_keys=True).encode()).hexdigest()


def _plain(value: Any, with_code: bool) -> Any:
    """Write the identities of plug-ins, wherever they are in a value, as format 1 did."""
    if isinstance(value, Mapping):
        if value.keys() == _IDENTITY:
            return _described(value, with_code)
        return {key: _plain(part, with_code) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part, with_code) for part in value]
    return value


def _described(identity: Mapping[str, Any], with_code: bool) -> dict[str, Any]:
    plugin = str(identity["plugin"])
    if identity["version"] != 1 or (identity["head"] or [plugin, 1])[1] != 1 or (with_code and plugin not in _CODE):
        raise _ChangedError
    described = {"name": plugin.rpartition(".")[2], **identity["settings"]}
    return described | {"code": _CODE[plugin]} if with_code else described
