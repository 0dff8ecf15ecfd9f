"""Whoever opens a model finds a whole one: the one from before, or the new one, whenever the exporter was killed."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st
from killed import killed_at
from onnx import TensorProto, helper, numpy_helper

from agents.exporter.placing import BadExport, Models
from agents.parts import external_data as external
from agents.parts.external_data import BadModel, locations, move, read_model

MANY = 40
"""More of them than there are in one placing."""


@pytest.fixture
def models(tmp_path: Path) -> Models:
    return Models(tmp_path)


def model(location: str = "model.onnx.data", kind: str = "location") -> onnx.ModelProto:
    """Adds four weights, which lie elsewhere, to its input."""
    weights = TensorProto(name="weights", data_type=TensorProto.FLOAT, dims=[4], data_location=TensorProto.EXTERNAL)
    weights.external_data.add(key=kind, value=location)
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [4]) for name in "xy")
    graph = helper.make_graph([helper.make_node("Add", ["x", "weights"], ["y"])], "decoder", [x], [y], [weights])
    return helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 21)])


def filled(models: Models, value: float, export: str = "one", recipe: str = "tiny") -> Path:
    """A working folder with a model that adds `value`."""
    made = models.begin(recipe, export)
    (made / "model.onnx").write_bytes(model().SerializeToString())
    (made / "model.onnx.data").write_bytes(np.full(4, value, np.float32).tobytes())
    (made / "config.json").write_text(str(value))
    return made


def placed(models: Models, value: float, export: str = "one", recipe: str = "tiny") -> str:
    return models.place(filled(models, value, export, recipe), recipe, export)


def folder(artifacts: Path) -> Path:
    return artifacts / "train" / "models"


def run_by_onnxruntime(path: Path) -> float:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"x": np.zeros(4, np.float32)})
    return float(np.asarray(found)[0])


def read_by_onnx(path: Path) -> float:
    onnx.checker.check_model(path)
    return float(numpy_helper.to_array(onnx.load(path).graph.initializer[0])[0])


def left(artifacts: Path) -> set[str]:
    return {path.name for path in folder(artifacts).glob(".*")}


READERS: list[Callable[[Path], float]] = [run_by_onnxruntime, read_by_onnx]


@pytest.mark.parametrize("read", READERS)
def test_both_names_of_the_newest_export_are_models(models: Models, tmp_path: Path, read: Callable[[Path], float]) -> None:
    where = placed(models, 1.0)

    assert read(folder(tmp_path) / "tiny" / "model.onnx") == 1.0
    assert read(folder(tmp_path) / "tiny_model.onnx") == 1.0
    assert where == "train/models/exports/tiny-one"
    assert read(tmp_path / where / "model.onnx") == 1.0
    assert (folder(tmp_path) / "tiny").readlink() == Path("exports/tiny-one")
    assert left(tmp_path) == set()


def test_a_new_export_takes_the_names_and_the_old_folder_stays_as_it_was(models: Models, tmp_path: Path) -> None:
    old, new = placed(models, 1.0), placed(models, 2.0, "two")

    assert run_by_onnxruntime(folder(tmp_path) / "tiny_model.onnx") == 2.0
    assert run_by_onnxruntime(folder(tmp_path) / "tiny" / "model.onnx") == 2.0
    assert run_by_onnxruntime(tmp_path / old / "model.onnx") == 1.0
    assert new.endswith("exports/tiny-two")


def test_an_export_of_the_same_name_does_not_touch_the_one_that_is_being_read(models: Models, tmp_path: Path) -> None:
    where = [placed(models, value) for value in (1.0, 2.0, 3.0)]

    assert [Path(each).name for each in where] == ["tiny-one", "tiny-one.2", "tiny-one.3"]
    assert [run_by_onnxruntime(tmp_path / each / "model.onnx") for each in where] == [1.0, 2.0, 3.0]
    assert models.superfluous("tiny") == where[:2]


def test_recipes_do_not_meet(models: Models, tmp_path: Path) -> None:
    for number, recipe in enumerate(("tiny", "tiny_2", "llm_8B")):
        placed(models, number, recipe=recipe)

    assert run_by_onnxruntime(folder(tmp_path) / "tiny_model.onnx") == 0.0
    assert run_by_onnxruntime(folder(tmp_path) / "tiny_2" / "model.onnx") == 1.0
    assert models.superfluous("tiny") == models.superfluous("llm_8B") == []


def test_files_in_place_are_read_only(models: Models, tmp_path: Path) -> None:
    where = placed(models, 1.0)

    assert {path.stat().st_mode & 0o777 for path in (tmp_path / where).iterdir()} == {0o444}


def seen(artifacts: Path) -> tuple[float, float]:
    """What the two names lead to, each read as a whole."""
    config = float((folder(artifacts) / "tiny" / "config.json").read_text())
    by_link = read_by_onnx(folder(artifacts) / "tiny" / "model.onnx")
    assert config == by_link
    return by_link, read_by_onnx(folder(artifacts) / "tiny_model.onnx")


@pytest.mark.parametrize("export", ["one", "two"])
def test_a_kill_at_any_moment_leaves_the_old_export_or_the_new_one(tmp_path: Path, export: str) -> None:
    kills = 0
    for touch in range(MANY):
        artifacts = tmp_path / str(touch)
        models = Models(artifacts)
        placed(models, 1.0)
        made = filled(models, 2.0, export)

        kills += (killed := killed_at(touch, partial(models.place, made, "tiny", export)))

        assert set(seen(artifacts)) <= ({1.0, 2.0} if killed else {2.0})
        assert set(models.superfluous("tiny")) <= {"train/models/exports/tiny-one"}
        placed(models, 3.0, "three")
        assert seen(artifacts) == (3.0, 3.0) and left(artifacts) == set()
        if not killed:
            break
    assert 10 < kills < MANY


def test_a_kill_while_an_export_is_removed_leaves_it_whole_or_gone(tmp_path: Path) -> None:
    kills = 0
    for touch in range(MANY):
        artifacts = tmp_path / str(touch)
        models = Models(artifacts)
        old, _ = placed(models, 1.0), placed(models, 2.0)

        kills += (killed := killed_at(touch, partial(models.remove, old)))

        assert not (artifacts / old).exists() or read_by_onnx(artifacts / old / "model.onnx") == 1.0
        models.clear()
        assert seen(artifacts) == (2.0, 2.0) and left(artifacts) == set()
        if not killed:
            break
    assert 3 < kills < MANY


def test_the_two_newest_exports_of_a_precision_stay_and_the_others_can_be_removed(models: Models, tmp_path: Path) -> None:
    where = [placed(models, value, f"{checkpoint}-float32") for value, checkpoint in enumerate("abcd")]
    placed(models, 5, "a-int4-b32")

    assert models.superfluous("tiny") == where[:2]
    for each in where[:2]:
        models.remove(each)

    assert models.superfluous("tiny") == []
    left = sorted(path.name for path in (folder(tmp_path) / "exports").iterdir())
    assert left == ["tiny-a-int4-b32", "tiny-c-float32", "tiny-d-float32"]


def test_what_a_name_leads_to_stays_however_old_it_is(models: Models, tmp_path: Path) -> None:
    where = [placed(models, value, f"{checkpoint}-float32") for value, checkpoint in enumerate("abcde")]
    link = folder(tmp_path) / "tiny"
    link.unlink()
    link.symlink_to("exports/tiny-a-float32")

    assert models.superfluous("tiny") == where[1:3]
    with pytest.raises(BadExport, match="no superfluous export"):
        models.remove(where[0])
    with pytest.raises(BadExport, match="no superfluous export"):
        models.remove(where[4])


def test_nothing_else_can_be_removed(models: Models, tmp_path: Path) -> None:
    placed(models, 1.0)

    for path in ("store", "train/models/tiny", "train/models/exports/../tiny", "train/models/exports/..", "/etc"):
        with pytest.raises(BadExport):
            models.remove(path)


def test_what_is_set_aside_replaces_what_was_set_aside_before(models: Models, tmp_path: Path) -> None:
    placed(models, 1.0)

    where = [models.set_aside(filled(models, value), "tiny", "one") for value in (2.0, 3.0)]

    assert where == ["train/models/failed/tiny-one"] * 2
    assert read_by_onnx(tmp_path / where[0] / "model.onnx") == 3.0
    assert seen(tmp_path) == (1.0, 1.0) and left(tmp_path) == set()


def test_the_next_export_clears_what_was_left(models: Models, tmp_path: Path) -> None:
    filled(models, 1.0, "one")
    (folder(tmp_path) / ".new-link.tiny").symlink_to("nowhere")

    made = models.begin("tiny", "two")

    assert left(tmp_path) == {made.name}
    assert list(made.iterdir()) == []


@pytest.mark.parametrize("export", ["", "..", "a/b", "A", "a.2", "one\n", "x" * 64])
def test_an_export_s_name_is_one_of_the_schemas(models: Models, export: str) -> None:
    with pytest.raises(BadExport, match="no name"):
        models.begin("tiny", export)


@pytest.mark.parametrize("recipe", ["", "..", "a/b", "two-parts", "exports", "failed", ".new"])
def test_a_recipe_s_name_fits_into_a_folder_s(models: Models, recipe: str) -> None:
    made = filled(models, 1.0)

    with pytest.raises(BadExport):
        models.place(made, recipe, "one")


@pytest.mark.parametrize("name", ["train", "train/models", "train/models/exports", "train/models/failed"])
def test_nothing_is_written_through_a_link_that_leads_out(tmp_path: Path, name: str) -> None:
    artifacts, outside = tmp_path / "artifacts", tmp_path / "outside"
    outside.mkdir()
    (artifacts / name).parent.mkdir(parents=True)
    (artifacts / name).symlink_to(outside)

    with pytest.raises(BadExport, match="leads out of"):
        Models(artifacts).begin("tiny", "one")
    assert list(outside.iterdir()) == []


def test_a_link_that_comes_later_is_not_followed_either(models: Models, tmp_path: Path) -> None:
    made = filled(models, 1.0)
    (folder(tmp_path) / "exports").rmdir()
    (folder(tmp_path) / "exports").symlink_to("/tmp")

    with pytest.raises(BadExport, match="leads out of"):
        models.place(made, "tiny", "one")


def test_what_stands_in_the_place_of_a_name_is_not_overwritten(models: Models, tmp_path: Path) -> None:
    made = filled(models, 1.0)
    (folder(tmp_path) / "tiny").mkdir()

    with pytest.raises(BadExport, match="is no link to an export"):
        models.place(made, "tiny", "one")
    (folder(tmp_path) / "other_model.onnx").mkdir()
    with pytest.raises(BadExport, match="is a folder"):
        models.place(made, "other", "one")
    assert made.is_dir()


def test_only_a_folder_that_was_begun_is_put_in_place(models: Models, tmp_path: Path) -> None:
    filled(models, 1.0)

    for path in (tmp_path, folder(tmp_path) / ".new-two", folder(tmp_path) / "exports"):
        with pytest.raises(BadExport, match="no folder that `begin` made"):
            models.place(path, "tiny", "one")


def test_weights_that_onnx_would_refuse_are_refused(models: Models, tmp_path: Path) -> None:
    made = filled(models, 1.0)
    os.link(made / "model.onnx.data", tmp_path / "other")
    with pytest.raises(BadExport, match="another name"):
        models.place(made, "tiny", "one")

    (made / "model.onnx.data").unlink()
    (made / "model.onnx.data").symlink_to(tmp_path / "other")
    with pytest.raises(BadExport, match="no plain file"):
        models.place(made, "tiny", "one")


@pytest.mark.parametrize("location", ["../x", "/etc/passwd", "a/../../x", "", ".", "a//b", "..\\x", "a/./b"])
def test_weights_that_lie_outside_are_refused(models: Models, location: str) -> None:
    made = filled(models, 1.0)
    (made / "model.onnx").write_bytes(model(location).SerializeToString())

    with pytest.raises(BadModel, match="want one file beside the model"):
        models.place(made, "tiny", "one")


def test_weights_that_lie_nowhere_or_in_two_places_are_refused() -> None:
    double = model()
    double.graph.initializer[0].external_data.add(key="location", value="other")

    for bad in (double, model(kind="offset")):
        with pytest.raises(BadModel):
            locations(bad)


def test_weights_of_a_node_and_of_a_graph_in_a_node_are_found_too() -> None:
    inner = model("inner").graph
    constant = helper.make_node("Constant", [], ["c"], value=model("attribute").graph.initializer[0])
    outer = model("outer")
    outer.graph.node.extend([helper.make_node("If", ["x"], ["z"], then_branch=inner, else_branch=inner), constant])

    move(outer, "exports/tiny-one")

    assert locations(outer) == {f"exports/tiny-one/{name}" for name in ("inner", "attribute", "outer")}


def test_weights_in_the_model_itself_stay_there() -> None:
    whole = model()
    whole.graph.initializer[0].CopyFrom(numpy_helper.from_array(np.ones(4, np.float32), "weights"))

    move(whole, "exports/tiny-one")

    assert locations(whole) == set()


def test_a_large_model_is_not_parsed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(external, "LIMIT", 100)
    (tmp_path / "model.onnx").write_bytes(model().SerializeToString())

    with pytest.raises(BadModel, match="more than the 100 bytes"):
        read_model(tmp_path / "model.onnx")


@given(data=st.binary(max_size=200))
def test_any_bytes_are_a_model_or_refused(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any.onnx"
    path.write_bytes(data)

    try:
        locations(read_model(path))
    except BadModel:
        return
