# ruff: noqa: E501 - lines of the XML it writes
"""An OpenSim model as text, so that nothing has to be there but the package."""


def _body(name: str, mass: float, com: float, wraps: str = "") -> str:
    moments = f"{0.02 * mass} 0.02 {0.022 * mass} 0.001 -0.002 0.0015"
    return (
        f'<Body name="{name}"><mass>{mass}</mass><mass_center>0.01 {com} 0.005</mass_center><inertia>{moments}</inertia>'
        f"<WrapObjectSet><objects>{wraps}</objects></WrapObjectSet></Body>"
    )


def _frame(name: str, body: str, place: str = "0 0 0", turn: str = "0 0 0") -> str:
    parent = "/ground" if body == "ground" else f"/bodyset/{body}"
    return (
        f'<PhysicalOffsetFrame name="{name}"><socket_parent>{parent}</socket_parent><translation>{place}</translation>'
        f"<orientation>{turn}</orientation></PhysicalOffsetFrame>"
    )


def _joint(kind: str, name: str, coordinates: dict, parent: tuple, child: tuple, transform: str = "") -> str:
    told = "".join(
        f'<Coordinate name="{c}"><default_value>{value}</default_value><range>{low} {high}</range></Coordinate>'
        for c, (low, high, value) in coordinates.items()
    )
    return (
        f'<{kind} name="{name}"><socket_parent_frame>p</socket_parent_frame><socket_child_frame>c</socket_child_frame>'
        f"<coordinates>{told}</coordinates><frames>{_frame('p', *parent)}{_frame('c', *child)}</frames>{transform}</{kind}>"
    )


def _spline(heights, name: str = "function") -> str:
    values = " ".join(map(str, heights))
    return f'<SimmSpline name="{name}"><x>-2.0 -1.2 -0.5 0.2</x><y>{values}</y></SimmSpline>'


def _linear(slope: float) -> str:
    return f'<LinearFunction name="function"><coefficients>{slope} 0</coefficients></LinearFunction>'


def _constant(value: float) -> str:
    return f'<Constant name="function"><value>{value}</value></Constant>'


def _transform(*axes: tuple[str, str, str]) -> str:
    names = ("rotation1", "rotation2", "rotation3", "translation1", "translation2", "translation3")
    told = "".join(
        f'<TransformAxis name="{n}"><coordinates>{c}</coordinates><axis>{axis}</axis>{function}</TransformAxis>'
        for n, (c, axis, function) in zip(names, axes, strict=True)
    )
    return f"<SpatialTransform>{told}</SpatialTransform>"


def _muscle(name: str, points: list[str], wraps: str = "") -> str:
    return (
        f'<Thelen2003Muscle name="{name}"><GeometryPath name="geometrypath"><PathPointSet><objects>{"".join(points)}'
        f"</objects></PathPointSet><PathWrapSet><objects>{wraps}</objects></PathWrapSet></GeometryPath>"
        "<max_isometric_force>800</max_isometric_force><optimal_fiber_length>0.12</optimal_fiber_length>"
        "<tendon_slack_length>0.2</tendon_slack_length><pennation_angle_at_optimal>0.3</pennation_angle_at_optimal>"
        "<activation_time_constant>0.015</activation_time_constant></Thelen2003Muscle>"
    )


def _point(name: str, body: str, place: str, kind: str = "PathPoint", more: str = "") -> str:
    location = "" if kind == "MovingPathPoint" else f"<location>{place}</location>"
    return f'<{kind} name="{name}"><socket_parent_frame>/bodyset/{body}</socket_parent_frame>{location}{more}</{kind}>'


X, Y, Z = "1 0 0", "0 1 0", "0 0 1"


def limb() -> str:
    """A planar base, a joint of three oblique axes, one that rolls along splines, a tilted pin; five muscles."""
    cylinder = (
        '<WrapCylinder name="heel"><translation>-0.01 -0.36 0</translation><radius>0.03</radius><length>0.2</length>'
        "</WrapCylinder>"
    )
    bodies = (
        _body("base", 5, 0) + _body("thigh", 8, -0.2) + _body("shank", 3, -0.18, cylinder) + _body("foot", 1, -0.05)
    )
    hip = _transform(
        ("flex", Z, _linear(1)), ("add", "0.98058067569 0.19611613514 0", _linear(-1)), ("rot", "0 0.99503719 0.099503719", _linear(1)),
        ("", X, _constant(0)), ("", Y, _constant(-0.07)), ("", Z, _constant(0)),
    )  # fmt: skip
    knee = _transform(
        ("bend", Z, _linear(1)), ("", X, _constant(0)), ("", Y, _constant(0)),
        ("bend", X, _spline((0.004, 0.0, -0.003, -0.006))), ("bend", Y, _spline((-0.4, -0.396, -0.395, -0.397))),
        ("", Z, _constant(0)),
    )  # fmt: skip
    joints = (
        _joint("PlanarJoint", "stand", {"tilt": (-1, 1, 0), "tx": (-5, 5, 0), "ty": (-5, 5, 0.9)}, ("ground",), ("base",))
        + _joint(
            "CustomJoint", "hip", {"flex": (-0.5, 1.5, 0), "add": (-0.5, 0.5, 0.1), "rot": (-0.5, 0.5, 0)},
            ("base", "-0.05 -0.02 0.08", "0.1 0 0.2"), ("thigh", "0 0.01 0", "0.05 0 0"), hip,
        )
        + _joint("CustomJoint", "knee", {"bend": (-2.0, 0.2, 0)}, ("thigh",), ("shank",), knee)
        + _joint(
            "PinJoint", "ankle", {"ankle": (-0.6, 0.5, 0)}, ("shank", "0 -0.4 0", "0.2 0.1 0"), ("foot", "0 0 0", "0.2 0.1 0")
        )
    )  # fmt: skip
    on = "".join(f"<socket_{a}_coordinate>/jointset/knee/bend</socket_{a}_coordinate>" for a in "xyz")
    patella = ((0.02, 0.035, 0.045, 0.06), (0.025, 0.027, 0.026, 0.024), (0, 0, 0, 0))
    on += "".join(f"<{a}_location>{_spline(h)}</{a}_location>" for a, h in zip("xyz", patella, strict=True))
    bent = "<socket_coordinate>/jointset/hip/flex</socket_coordinate><range>-1.5 0.4</range>"
    wrap = '<PathWrap name="w"><wrap_object>heel</wrap_object></PathWrap>'
    muscles = (
        _muscle("straight", [
            _point("s1", "base", "0.03 0.05 0.1"), _point("s2", "thigh", "0.03 -0.1 0.02"), _point("s3", "thigh", "0 -0.2 0.01"),
        ])
        + _muscle("hamstring", [_point("h1", "base", "-0.1 -0.1 0.08"), _point("h2", "shank", "-0.03 -0.05 0.01")])
        + _muscle("calf", [_point("c1", "shank", "-0.05 -0.1 0"), _point("c2", "foot", "-0.06 -0.02 0")], wrap)
        + _muscle("vastus", [
            _point("v1", "thigh", "0.03 -0.2 0"), _point("v2", "shank", "", "MovingPathPoint", on),
        ])
        + _muscle("iliacus", [
            _point("i1", "base", "0 0.02 0.09"), _point("i2", "base", "0 -0.06 0.08", "ConditionalPathPoint", bent),
            _point("i3", "thigh", "-0.005 -0.06 0.01"),
        ])
    )  # fmt: skip
    marker = (
        '<Marker name="knee_lateral"><socket_parent_frame>/bodyset/shank</socket_parent_frame><location>0 0 0.05</location>'
        "</Marker>"
    )
    group = '<ObjectGroup name="flexors"><members>hamstring iliacus</members></ObjectGroup>'
    return (
        '<?xml version="1.0" encoding="UTF-8" ?><OpenSimDocument Version="40000"><Model name="limb">'
        "<credits>A. Author</credits><gravity>0 -9.81 0</gravity>"
        f"<BodySet><objects>{bodies}</objects></BodySet><JointSet><objects>{joints}</objects></JointSet>"
        f"<ForceSet><objects>{muscles}</objects><groups>{group}</groups></ForceSet>"
        f"<MarkerSet><objects>{marker}</objects></MarkerSet></Model></OpenSimDocument>"
    )
