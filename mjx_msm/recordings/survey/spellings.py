"""What laboratories call muscles and joints: Vicon's Plug-in Gait, OpenSim, SENIAM, and the usual abbreviations.

Muscles: the names of SENIAM (Hermens et al. 2000, doi 10.1016/S1050-6411(00)00027-4), of the OpenSim models gait2392,
Rajagopal and Arm26, and abbreviations seen in exports of Delsys, Noraxon and Qualisys. A spelling that means more than
one muscle has them all, the likelier first, and is doubtful.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

MUSCLES: Mapping[str, tuple[str, ...]] = {
    "rectus_femoris": ("rectus femoris", "rect fem", "rec fem", "recfem", "rectfem", "rectus fem", "rf"),
    "vastus_medialis": ("vastus medialis", "vastus medius", "vas med", "vasmed", "vast med", "vmo", "vm"),
    "vastus_lateralis": ("vastus lateralis", "vas lat", "vaslat", "vast lat", "vlo", "vl"),
    "vastus_intermedius": ("vastus intermedius", "vas int", "vasint", "vi"),
    "quadriceps": ("quadriceps", "quads", "quad", "vasti", "vastus", "vas"),
    "biceps_femoris": ("biceps femoris", "biceps fem", "bic fem", "bifemlh", "bifemsh", "bflh", "bfsh", "bflong", "bfl",
                       "bf", "lateral hamstrings", "lateral hamstring", "lat ham", "lh"),
    "semitendinosus": ("semitendinosus", "semiten", "semitend", "st"),
    "medial_hamstrings": ("medial hamstrings", "medial hamstring", "med ham", "mh"),
    "semimembranosus": ("semimembranosus", "semimem", "sm"),
    "hamstrings": ("hamstrings", "hamstring", "hams", "ham"),
    "gastrocnemius_medialis": ("gastrocnemius medialis", "medial gastrocnemius", "gastroc med", "gastroc medialis",
                               "med gas", "medgas", "med gast", "gas med", "gasmed", "gast med", "gm", "mg", "mgas",
                               "gastrocnemius medial head"),
    "gastrocnemius_lateralis": ("gastrocnemius lateralis", "lateral gastrocnemius", "gastroc lat", "gastroc lateralis",
                                "lat gas", "latgas", "lat gast", "gas lat", "gaslat", "gast lat", "gl", "lg", "lgas",
                                "gastrocnemius lateral head"),
    "gastrocnemius": ("gastrocnemius", "gastroc", "gastrocs", "gast", "gas", "ga"),
    "soleus": ("soleus", "sol", "so"),
    "tibialis_anterior": ("tibialis anterior", "tib ant", "tibant", "tibialis ant", "ta"),
    "peroneus_longus": ("peroneus longus", "fibularis longus", "per long", "perlong", "pl"),
    "gluteus_maximus": ("gluteus maximus", "glut max", "glutmax", "gmax", "glmax"),
    "gluteus_medius": ("gluteus medius", "glut med", "glutmed", "gmed", "glmed"),
    "adductors": ("adductor", "adductors", "adductor longus", "add long", "adductor magnus",
                  "add mag", "addmag", "add"),
    "biceps_brachii": ("biceps brachii", "biceps", "bic", "biclong", "bicshort", "bic long", "bic short", "bb"),
    "triceps_brachii": ("triceps brachii", "triceps", "tri", "trilong", "trilat", "trimed", "tri long", "tri lat",
                        "tri med", "tb", "triceps long", "triceps lat"),
    "brachialis": ("brachialis", "bra"),
    "brachioradialis": ("brachioradialis", "brd", "brachiorad", "br"),
    "deltoid_anterior": ("deltoid anterior", "anterior deltoid", "delt ant", "ant delt", "ad", "da"),
    "deltoid_medius": ("deltoid medius", "middle deltoid", "deltoid medial", "delt med", "med delt", "md"),
    "deltoid_posterior": ("deltoid posterior", "posterior deltoid", "delt post", "post delt", "pd"),
    "trapezius": ("trapezius", "trap", "trap sup", "trap inf", "upper trapezius", "lower trapezius", "ut"),
    "pectoralis_major": ("pectoralis", "pectoralis major", "pec", "pec maj", "pm"),
    "latissimus_dorsi": ("latissimus dorsi", "lat dorsi", "gd dors"),
    "infraspinatus": ("infraspinatus", "infra"),
    "supraspinatus": ("supraspinatus", "supra"),
    "subscapularis": ("subscapularis", "subscap"),
    "serratus_anterior": ("serratus anterior", "serratus", "gd dent"),
    "erector_spinae": ("erector spinae", "es", "longissimus"),
}  # fmt: skip
"""Muscle (or group) → what it is called, in lower case, words apart."""

MODEL_MUSCLES: Mapping[str, tuple[str, ...]] = {
    "recfem": ("rectus_femoris", "quadriceps", "vastus_lateralis", "vastus_medialis"),
    "vasmed": ("vastus_medialis", "vastus_lateralis", "quadriceps"),
    "vasint": ("vastus_intermedius", "vastus_medialis+vastus_lateralis", "vastus_lateralis", "vastus_medialis",
               "quadriceps"),
    "vaslat": ("vastus_lateralis", "vastus_medialis", "quadriceps"),
    "bflh": ("biceps_femoris", "hamstrings"),
    "bfsh": ("biceps_femoris", "hamstrings"),
    "semimem": ("semimembranosus", "medial_hamstrings", "semitendinosus", "hamstrings", "biceps_femoris"),
    "semiten": ("semitendinosus", "medial_hamstrings", "semimembranosus", "hamstrings", "biceps_femoris"),
    "gasmed": ("gastrocnemius_medialis", "gastrocnemius", "gastrocnemius_lateralis"),
    "gaslat": ("gastrocnemius_lateralis", "gastrocnemius", "gastrocnemius_medialis"),
    "soleus": ("soleus", "gastrocnemius", "gastrocnemius_medialis", "gastrocnemius_lateralis"),
    "tibant": ("tibialis_anterior",),
    "TRIlong": ("triceps_brachii",),
    "TRIlat": ("triceps_brachii",),
    "TRImed": ("triceps_brachii",),
    "BIClong": ("biceps_brachii",),
    "BICshort": ("biceps_brachii",),
    "BRA": ("brachialis", "biceps_brachii"),
}  # fmt: skip
"""Muscle of a bundled model → the recorded ones that may drive it, the best first; what follows the first is a doubt,
unless it is the same muscle's group."""

STAND_INS: Mapping[str, tuple[str, ...]] = {
    **{options[0]: options for options in MODEL_MUSCLES.values()},
    "quadriceps": ("quadriceps", "vastus_lateralis+vastus_medialis", "vastus_lateralis", "vastus_medialis"),
    "hamstrings": ("hamstrings", "biceps_femoris+semimembranosus", "biceps_femoris+semitendinosus",
                   "biceps_femoris+medial_hamstrings", "biceps_femoris", "semitendinosus", "semimembranosus",
                   "medial_hamstrings"),
    "medial_hamstrings": ("medial_hamstrings", "semitendinosus", "semimembranosus", "hamstrings", "biceps_femoris"),
    "gastrocnemius": ("gastrocnemius", "gastrocnemius_medialis+gastrocnemius_lateralis", "gastrocnemius_medialis",
                      "gastrocnemius_lateralis"),
}  # fmt: skip
"""Muscle or group, as in `MUSCLES` → the recorded ones that may drive it, likewise; for models that are not bundled."""

COORDINATES: Mapping[str, tuple[str, ...]] = {
    "hip_flexion": ("hip flexion", "hip flex", "hip angle", "hip angles", "hip", "hip flexion angle"),
    "knee_angle": ("knee angle", "knee flexion", "knee flex", "knee angles", "knee", "knee flexion angle", "knee ang"),
    "ankle_angle": ("ankle angle", "ankle flexion", "ankle dorsiflexion", "ankle angles", "ankle", "ankle flex",
                    "dorsiflexion"),
    "shoulder_elev": ("shoulder elev", "shoulder ele", "shoulder elevation", "shoulder flexion", "arm flex", "shoulder",
                      "shoulder flex", "shoulder angles"),
    "elbow_flex": ("elbow flex", "elbow flexion", "elbow", "elbow angle", "elbow angles"),
}  # fmt: skip
"""Coordinate of a bundled model → what an angle is called."""

ENGLISH: Mapping[str, str] = {
    **dict.fromkeys(("knie", "kniegelenk", "genou", "rodilla", "ginocchio"), "knee"),
    **dict.fromkeys(("hüfte", "huefte", "hüftgelenk", "hueftgelenk", "heup", "hanche", "cadera", "anca"), "hip"),
    **dict.fromkeys(("sprunggelenk", "fußgelenk", "fussgelenk", "enkel", "cheville", "tobillo", "caviglia"), "ankle"),
    **dict.fromkeys(("ellenbogen", "ellbogen", "elleboog", "coude", "codo", "gomito"), "elbow"),
    **dict.fromkeys(("schulter", "schouder", "épaule", "epaule", "hombro", "spalla"), "shoulder"),
    **dict.fromkeys(("winkel", "hoek", "ángulo", "angulo", "angolo"), "angle"),
    **dict.fromkeys(("beugung", "flexie", "flexión", "flessione"), "flexion"),
    **dict.fromkeys(("drehmoment", "momento"), "moment"),
    **dict.fromkeys(("kraft", "kracht", "fuerza", "forza"), "force"),
    **dict.fromkeys(("rechts", "droit", "droite", "derecho", "derecha", "destro", "destra"), "right"),
    **dict.fromkeys(("links", "gauche", "izquierdo", "izquierda", "sinistro", "sinistra"), "left"),
    **{f"{joint}{what}": f"{english} {said}"
       for joint, english in (("knie", "knee"), ("hüft", "hip"), ("hueft", "hip"))
       for what, said in (("winkel", "angle"), ("beugung", "flexion"), ("moment", "moment"), ("hoek", "angle"))},
}  # fmt: skip
"""German, Dutch, French, Spanish and Italian words of joints and what is measured of them → the words used here."""

_SIDES = {"r": "right", "right": "right", "l": "left", "left": "left", "re": "right", "li": "left",
          "rt": "right", "lt": "left"}  # fmt: skip
_NOISE = {
    "emg", "im", "raw", "envelope", "env", "value", "x", "trigno", "sensor", "avanti", "mv", "uv", "v", "ch", "channel",
    "analog", "voltage", "filtered", "norm", "rms", "activation", "muscle", "acc", "gyro", "deg", "rad", "column",
    "electromyography", "nexus", "ultium", "devices", "outputs", "imu",
}  # fmt: skip
_QUANTITIES = {
    "moment": ("moment", "moments", "torque", "torques", "nm", "mom", "trq", "tau"),
    "force": ("force", "forces", "grf", "loadcell", "dnm", "dynamometer", "fx", "fy", "fz", "ground"),
    "velocity": ("velocity", "velocities", "speed", "vel", "omega"),
    "power": ("power", "powers"),
}

_BRACKETS = re.compile(r"[\[(][^\])]*[\])]")
_QUANTITY = re.compile(r"_(moment|force|torque|value|activation|emg)$")


@dataclass(frozen=True)
class Called:
    """What a column's name says."""

    muscles: tuple[str, ...] = ()
    """Keys of `MUSCLES`, the likelier first; more than one is a doubt. Or one muscle of the model in question."""
    coordinate: str = ""
    """Key of `COORDINATES`, or a coordinate of the model in question."""
    side: str = ""
    """"left", "right", or "" where nothing says."""
    quantity: str = ""
    """"moment", "force", "velocity", "power", or "" where nothing says."""
    plain: str = ""
    """Its words in lower case, without side, quantity and what only surrounds a name."""


def words_of(name: str) -> list[str]:
    """A name in lower-case English words: paths, underscores, brackets, camel case and sensor numbers taken apart."""
    name = _BRACKETS.sub(" ", name)
    name = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
    name = re.sub(r"\b([LR])(?=(Hip|Knee|Ankle|Elbow|Shoulder)\b)", r"\1 ", name)
    bare = (re.sub(r"\d+$", "", word.lower()) for word in re.split(r"[\W_]+", name))
    return [word for each in bare if each for word in ENGLISH.get(each, each).split()]


def called(name: str) -> Called:
    """What a column's name says: of a muscle, of a joint's angle, moment or velocity, of a side."""
    name = _BRACKETS.sub(" ", name).strip() or name  # a unit, whose "/" parts no path
    path = [part for part in re.split(r"[/:]", name) if part] or [name]
    if len(path) > 1 and path[-1].casefold() in ("y", "z"):  # of a point's three components the first is flexion
        return Called()
    parts = [*reversed(path), name] if len(path) > 1 else [name]
    every = words_of(name.replace("/", " ").replace(":", " "))
    side = next((_SIDES[w] for w in every if w in _SIDES), "")
    # a state of OpenSim says what it is at its end; "ground_pelvis", the joint before it, is no ground force
    state = path[-2:] if name.startswith("/") and path[-1] in ("value", "speed") else [name]
    told = [w for part in state for w in words_of(part.replace("/", " ").replace(":", " "))]
    quantity = next((q for q, words in _QUANTITIES.items() if any(w in words for w in told)), "")
    first = ""
    for part in parts:
        words = [w for w in words_of(part) if w not in _NOISE]
        sideless = [w for w in words if w not in _SIDES]
        quantities = {w for ws in _QUANTITIES.values() for w in ws}
        plain = " ".join(w for w in sideless if w not in quantities)
        if not plain:
            continue
        first = first or plain
        joint = next((c for c, spelt in COORDINATES.items() if plain in (*spelt, c.replace("_", " "))), "")
        if joint:
            return Called((), joint, side, quantity, plain)
        found = _muscles(plain, sideless)
        if found:
            return Called(found, "", side, quantity, plain)
        if part != name:
            break  # what a path ends in says what it is; what comes before only where that is "value" or "x"
    return Called((), "", side, quantity, first)


def exactly(column: str, name: str) -> bool:
    """Whether a column is called like something in the model: its last word of a quantity, folders and units aside."""
    bare = _BRACKETS.sub(" ", column).strip().casefold()
    parts = {bare, *re.split(r"[/:]", bare)}
    return name.casefold() in {p for part in parts for p in (part.strip(), _QUANTITY.sub("", part.strip()))}


def _muscles(plain: str, words: list[str]) -> tuple[str, ...]:
    exact = [m for m, spelt in MUSCLES.items() if plain in spelt or plain == m.replace("_", " ")]
    if exact:
        return (*exact, "gluteus_medius") if plain == "gm" else tuple(exact)
    # "r vastus lateralis belly": the longest spelling of several letters that stands in the name
    hits = [
        (len(s), m)
        for m, spelt in MUSCLES.items()
        for s in (*spelt, m.replace("_", " "))
        if len(s) >= 4 and re.search(rf"\b{re.escape(s)}\b", " ".join(words))
    ]
    if hits:
        best = max(hits)[0]
        return tuple(dict.fromkeys(m for size, m in hits if size == best))
    return ()
