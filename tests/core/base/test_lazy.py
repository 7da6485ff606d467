"""Lazy names of a package, and domain packages under the core's name. Each case runs in an interpreter of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[3] / "packages/core/src"


@pytest.fixture
def run(tmp_path: Path):
    """Runs code beside a package `app` (submodule `heavy`, domains `pictures` and `absent`) and a package `app_pictures`."""
    files = {
        "app/__init__.py": """
            from flambeau.base.lazy import lazy_attributes
            __getattr__, __dir__ = lazy_attributes(globals(), {"heavy"}, {"pictures", "absent", "broken"}, {"root": "math:sqrt"})
        """,
        "app/heavy.py": "value = 7",
        "app/plain.py": "",
        "app_pictures/__init__.py": "from app_pictures.shapes import Circle",
        "app_pictures/shapes.py": "from . import colours\nclass Circle: pass",
        "app_pictures/colours.py": "",
        "app_broken/__init__.py": "import a_module_that_does_not_exist",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(textwrap.dedent(text))

    def execute(code: str) -> str:
        # Through a stand-in package, because flambeau/__init__.py itself is not under test.
        begin = f"""
            import sys, types
            stand_in = types.ModuleType("flambeau")
            stand_in.__path__ = [{str(SOURCE / "flambeau")!r}]
            sys.modules["flambeau"] = stand_in
        """
        environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", textwrap.dedent(begin) + textwrap.dedent(code)],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    return execute


def test_nothing_is_imported_before_use(run) -> None:
    assert run("import app; print([m for m in sys.modules if m.startswith(('app.', 'app_'))])") == "[]"


def test_submodules_and_attributes_arrive_at_first_use(run) -> None:
    assert run("import app; print(app.heavy.value, app.root(9.0), 'root' in vars(app))") == "7 3.0 True"
    assert run("from app import heavy, root; print(heavy.value, root(4.0))") == "7 2.0"


@pytest.mark.parametrize(
    "statement",
    [
        "import app; pictures = app.pictures",
        "from app import pictures",
        "import app.pictures as pictures",
        "import app.pictures.shapes; pictures = app.pictures",
        "import app_pictures; from app import pictures",
        "import importlib; pictures = importlib.import_module('app.pictures')",
    ],
)
def test_a_domain_is_one_module_under_two_names(run, statement: str) -> None:
    said = run(f"""
        {statement}
        import app, app_pictures, app_pictures.shapes, app.pictures.shapes
        from app.pictures.shapes import Circle
        assert pictures is app_pictures is app.pictures is sys.modules["app.pictures"]
        assert app.pictures.shapes is app_pictures.shapes
        assert Circle is app_pictures.Circle
        print(pictures.__name__, pictures.__spec__.name, app.pictures.shapes.__spec__.name, Circle.__module__)
    """)
    assert said == "app_pictures app_pictures app_pictures.shapes app_pictures.shapes"


def test_relative_imports_and_pickles_work_whichever_name_came_first(run) -> None:
    said = run("""
        from app.pictures.shapes import Circle
        import pickle
        print(type(pickle.loads(pickle.dumps(Circle()))) is Circle)
    """)
    assert said == "True"


def test_absent_domain_says_what_to_install(run) -> None:
    said = run("""
        import app
        from flambeau.base.errors import FlambeauError, MissingExtra
        print(hasattr(app, "absent"), getattr(app, "absent", None), "absent" in dir(app), "pictures" in dir(app))
        try:
            app.absent
        except AttributeError as error:
            assert isinstance(error, FlambeauError)
            print(error)
        for statement in ("import app.absent", "from app import absent", "import app.absent.part"):
            try:
                exec(statement)
            except MissingExtra as error:
                print(error)
    """).splitlines()
    assert said[0] == "False None False True"
    assert len(said) == 5
    assert all('pip install "app-absent"' in line for line in said[1:])


def test_a_broken_domain_shows_its_own_error(run) -> None:
    said = run("""
        import app
        try:
            app.broken
        except ModuleNotFoundError as error:
            print(error.name)
    """)
    assert said == "a_module_that_does_not_exist"


def test_unknown_names(run) -> None:
    said = run("""
        import app
        print(hasattr(app, "nothing"))
        for statement in ("app.nothing", "import app.nothing", "import app.pictures.nothing", "from app import nothing"):
            try:
                exec(statement)
            except (AttributeError, ImportError) as error:
                print(type(error).__name__, error)
    """).splitlines()
    assert said[0] == "False"
    assert said[1] == "AttributeError module 'app' has no attribute 'nothing'"
    assert said[2:4] == ["ModuleNotFoundError No module named 'app.nothing'", "ModuleNotFoundError No module named 'app.pictures.nothing'"]
    assert said[4].startswith("ImportError cannot import name 'nothing' from 'app'")


def test_importing_the_package_again_leaves_one_finder(run) -> None:
    said = run("""
        import app, importlib
        importlib.reload(app)
        from app import pictures
        import app.plain
        print(sum(type(finder).__name__ == "_DomainFinder" for finder in sys.meta_path), app.pictures is pictures)
    """)
    assert said == "1 True"
