"""Progress below a cell: a display that is changed in place, and a line a stage where there is none."""

from mjx_msm.identification.identify import Iteration
from mjx_msm.views import notebook
from mjx_msm.views.notebook import NotebookProgress

STEPS = [Iteration(stage, 2, index, k, 10.0 - k, {}, None) for index, stage in enumerate("ab") for k in range(3)]  # type: ignore[arg-type]


class Display:
    def __init__(self):
        self.shown = []

    def __call__(self, what, display_id):
        assert display_id
        self.shown.append(what._repr_html_())
        return self

    def update(self, what):
        self.shown.append(what._repr_html_())


def test_one_display_is_changed_in_place(monkeypatch):
    made = Display()
    monkeypatch.setattr(notebook, "_display", lambda: made)
    monkeypatch.setattr(notebook, "SOONEST", 0.0)
    listener = NotebookProgress()
    for step in STEPS:
        listener(step)
    assert len(made.shown) == 6
    parts = [float(x.split('value="')[1].split('"')[0]) for x in made.shown]
    assert parts == sorted(parts)
    assert parts[-1] < 1
    assert "b, iteration 2: cost 8" in made.shown[-1]


def test_without_a_notebook_a_line_a_stage(capsys):
    listener = NotebookProgress()
    for step in STEPS:
        listener(step)
    assert [line.split(",")[0] for line in capsys.readouterr().err.splitlines()] == ["a", "b"]


def test_a_result_shows_itself_once_in_a_notebook(monkeypatch, capsys):
    """Rich would display of its own accord whatever is printed on its consoles where it sees a notebook."""
    import rich.console
    from results import fit, result

    monkeypatch.setattr(rich.console, "_is_jupyter", lambda: True)
    shown = []
    monkeypatch.setattr("rich.jupyter.display", lambda *a: shown.append(a))
    assert "BRA" in result(fit())._repr_html_()
    assert "BRA" in str(result(fit()))
    assert shown == []
