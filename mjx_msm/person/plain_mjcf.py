"""A specification as one plain MJCF text that reads back the same.

MuJoCo's writer leaves out what an element has from its defaults class. Where specifications were attached to each
other, several classes have one name, or none, and the text means another model or none at all. Here every element has
one class of its own, whose content is written, and tendons, whose class cannot be changed, are written whole.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Callable

import mujoco
import numpy as np

from mjx_msm.person.xml_text import xml_of

_CLASSED = (
    "bodies", "frames", "joints", "geoms", "sites", "actuators", "meshes", "materials", "equalities", "pairs",
    "cameras", "lights",
)  # fmt: skip
_OF_TENDONS = {
    **{f: f for f in ("range", "margin", "armature", "frictionloss", "stiffness", "damping", "springlength")},
    **{f"{kind}{of}": f"{kind}_{of}" for kind in ("solref", "solimp") for of in ("limit", "friction")},
}
_LIMITED = {0: "false", 1: "true", 2: "auto"}


_NAMING = (
    "name", "target", "objname", "refname", "reftype",
    *(f"{kind}{n}" for kind in ("body", "joint", "geom", "site", "tendon", "actuator") for n in ("", "1", "2")),
    *("jointinparent", "sidesite", "cranksite", "slidersite", "refsite"),
)  # fmt: skip
"""Attributes that hold the name of an element."""
_FILES = ("mesh", "texture", "material", "hfield", "skin")
"""Elements that keep their names: others find them by attributes of other names."""


def plain(spec: mujoco.MjSpec, renamed: Callable[[str], str] = str) -> mujoco.MjSpec:
    """The same model in one file's terms; files it reads are named from the root.

    **Arguments:** `renamed`: the new name of an element, wherever it is named.
    """
    spec = spec.copy()
    spec.compile()
    name = "plain"
    while spec.find_default(name):
        name += "_"
    only = spec.add_default(name, spec.default)
    for kind in _CLASSED:
        for element in getattr(spec, kind):
            if hasattr(element, "classname"):
                element.classname = only
    root = ET.fromstring(xml_of(spec, full=True))
    if root.find(f"default//default[@class='{name}']") is None:
        # a copy's new class is, one time in four, not in its tree of classes and holds MuJoCo's own values: what is
        # written goes by these, and no class may say otherwise
        for defaults in root.findall("default"):
            root.remove(defaults)
        for element in root.iter():
            if element.get("class") == name:
                element.attrib.pop("class")
    for defaults in root.findall("default"):
        for nested in defaults.findall("default"):
            if nested.get("class") != name:
                defaults.remove(nested)
    for element in root.iter():
        element.attrib.pop("childclass", None)
        if element.tag != "default" and element.get("class") != name:
            element.attrib.pop("class", None)
    for element, tendon in zip(list(root.find("tendon") or ()), spec.tendons, strict=True):
        element.set("limited", _LIMITED[int(tendon.limited)])
        element.set("group", str(tendon.group))
        for attribute, field in _OF_TENDONS.items():
            element.set(attribute, _numbers(getattr(tendon, field)))
        if element.tag == "spatial":
            element.set("width", _numbers(tendon.width))
            element.set("rgba", _numbers(tendon.rgba))
            if tendon.material:
                element.set("material", tendon.material)
    for element in root.iter("text"):  # written as CDATA where it is long, which is no longer that once it was read
        if element.text and element.text.strip():
            element.set("data", element.text)
            element.text = None
    for element in root.iter() if renamed is not str else ():
        for attribute in () if element.tag in _FILES else _NAMING:
            if attribute in element.attrib:
                element.set(attribute, renamed(element.attrib[attribute]))
    out = mujoco.MjSpec.from_string(ET.tostring(root, encoding="unicode"))
    for folder in ("meshdir", "texturedir"):
        there = getattr(spec.compiler, folder)
        if spec.modelfiledir and not there.startswith("/"):
            setattr(out.compiler, folder, f"{spec.modelfiledir.rstrip('/')}/{there}".rstrip("/"))
    out.compile()
    return out


def _numbers(values: object) -> str:
    return " ".join(repr(float(x)) for x in np.ravel(np.asarray(values)))
