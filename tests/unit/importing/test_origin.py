"""Where a network may lie, and what is said where there is none, or more than one."""

from __future__ import annotations

import os
import shutil
import tarfile
import zipfile
from pathlib import Path

import pytest

from paddlesrv.errors import IntegrityError, NotFound, PaddlesrvError, UsageError
from paddlesrv.zoo.names import default_name
from tests.standins import linear
from tests.unit.importing import networks


def files_of(store) -> list[str]:
    """Everything in the store but empty directories and lock files."""
    return [str(p) for p in store.root.rglob("*") if not p.is_dir() and p.suffix != ".lock"]


def packed(directory: Path, archive: Path) -> Path:
    """The directory as an archive of the kind that its name says."""
    paths = [p for p in sorted(directory.rglob("*")) if p.is_file()]
    if archive.suffix in (".zip", ".whl"):
        with zipfile.ZipFile(archive, "w") as target:
            for path in paths:
                target.write(path, path.relative_to(directory.parent))
    else:
        mode = "w:gz" if archive.name.endswith("gz") else "w"
        with tarfile.open(archive, mode) as target:
            for path in paths:
                target.add(path, path.relative_to(directory.parent))
    return archive


def as_paddle_1(directory: Path, params: str) -> None:
    linear.write_program(directory)
    (directory / "inference.pdmodel").rename(directory / "__model__")
    (directory / "inference.pdiparams").rename(directory / params)


LAYOUTS = {
    "pir": (linear.write_paddle, "paddle-pir", "inference.json", "inference.pdiparams"),
    "program": (linear.write_program, "paddle-program", "inference.pdmodel", "inference.pdiparams"),
    "paddle-1": (
        lambda d: as_paddle_1(d, "__params__"),
        "paddle-program",
        "__model__",
        "__params__",
    ),
    "onnx": (linear.write_onnx, "onnx", "model.onnx", None),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_each_layout_is_imported_with_its_files_and_digests(layout, tmp_path, import_, store):
    write, kind, program, params = LAYOUTS[layout]
    write(tmp_path / "price")
    found = import_(tmp_path / "price")
    assert (found.spec.name, found.spec.format) == ("price", kind)
    assert (found.spec.program, found.spec.params) == (program, params)
    assert set(found.spec.digests) == {name for name in (program, params) if name}
    installed = store.installed("price")
    assert installed == found.installed
    assert (installed.source, installed.where) == ("import", str(tmp_path / "price"))
    store.verify_digests(installed)


@pytest.mark.parametrize("name", ["m.tar", "m.tar.gz", "m.zip", "m-1.0-py3-none-any.whl"])
def test_an_archive_is_unpacked_and_only_the_network_kept(name, tmp_path, import_, store):
    linear.write_program(tmp_path / "x" / "inference")
    (tmp_path / "x" / "readme.md").write_text("about")
    found = import_(packed(tmp_path / "x", tmp_path / name), name="price")
    assert set(found.spec.digests) == {"inference.pdmodel", "inference.pdiparams"}
    assert found.installed.sha256 is not None
    content = {p.name for p in found.installed.directory.iterdir()}
    assert content == {*found.spec.digests, "spec.json", "install.json"}
    assert list((store.root / "staging").iterdir()) == []


@pytest.mark.parametrize("file", ["inference.pdmodel", "inference.pdiparams"])
def test_one_file_of_a_model_pulls_the_other(file, tmp_path, import_):
    linear.write_program(tmp_path / "price")
    linear.write_onnx(tmp_path / "price")  # another network, which nobody named
    found = import_(tmp_path / "price" / file)
    assert found.spec.name == "price"
    assert set(found.spec.digests) == {"inference.pdmodel", "inference.pdiparams"}
    assert (tmp_path / "price" / file).is_file()


def test_scattered_parameters_are_taken_with_the_program(tmp_path, import_):
    as_paddle_1(tmp_path / "price", "__params__")
    (tmp_path / "price" / "__params__").unlink()
    for name in ("linear_0.w_0", "linear_0.b_0"):
        (tmp_path / "price" / name).write_bytes(b"\0" * 8)
    (tmp_path / "price" / "notes.txt").write_text("of no use")
    found = import_(tmp_path / "price")
    assert found.spec.params is None
    assert set(found.spec.digests) == {"__model__", "linear_0.w_0", "linear_0.b_0"}


def test_what_paddle_serving_converted_keeps_its_clients_names(tmp_path, import_):
    linear.write_program(tmp_path / "price" / "serving_server")
    (tmp_path / "price" / "serving_client").mkdir()
    conf = (
        'feed_var {{ name: "x" alias_name: "{0}" }} '
        'fetch_var {{ name: "linear_0.tmp_1" alias_name: "price" }}'
    )
    server = tmp_path / "price" / "serving_server"
    (server / "serving_server_conf.prototxt").write_text(conf.format("features"))
    client = tmp_path / "price" / "serving_client" / "serving_client_conf.prototxt"
    client.write_text(conf.format("words"))
    expected = {"features": "x", "words": "x", "price": "linear_0.tmp_1"}
    assert import_(tmp_path / "price").spec.aliases == expected
    assert import_(server, name="again").spec.aliases == expected


def test_external_weights_come_along(tmp_path, import_):
    import onnx

    linear.write_onnx(tmp_path / "price")
    model = onnx.load(tmp_path / "price" / "model.onnx")
    (tmp_path / "price" / "weights").mkdir()
    onnx.save(model, tmp_path / "price" / "model.onnx", save_as_external_data=True,
              location="weights/all.bin", size_threshold=0)  # fmt: skip
    found = import_(tmp_path / "price", run=True)
    assert set(found.spec.digests) == {"model.onnx", "weights/all.bin"}


def test_external_weights_by_a_link_to_elsewhere_are_refused(tmp_path, import_, store):
    import onnx

    linear.write_onnx(tmp_path / "price")
    model = onnx.load(tmp_path / "price" / "model.onnx")
    onnx.save(model, tmp_path / "price" / "model.onnx", save_as_external_data=True,
              location="all.bin", size_threshold=0)  # fmt: skip
    shutil.move(tmp_path / "price" / "all.bin", tmp_path / "secret")
    (tmp_path / "price" / "all.bin").symlink_to("../secret")
    with pytest.raises(IntegrityError, match="leads out of its directory"):
        import_(tmp_path / "price")
    assert files_of(store) == []


def hidden_external(directory: Path, location: str, where: str) -> None:
    """A model whose external file is not named by an initializer of its main graph."""
    from onnx import TensorProto, helper

    weight = TensorProto(name="W", data_type=TensorProto.FLOAT, dims=[1])
    weight.data_location = TensorProto.EXTERNAL
    weight.external_data.add(key="location", value=location)
    x, y = (helper.make_tensor_value_info(n, TensorProto.FLOAT, ["n"]) for n in "xy")
    constant = helper.make_node("Constant", [], ["c"], value=weight)
    inner = helper.make_graph([constant], "inner", [], [y])
    nodes = {
        "attribute": [constant],
        "subgraph": [helper.make_node("If", ["k"], ["y"], then_branch=inner, else_branch=inner)],
    }
    networks.save(directory, helper.make_graph(nodes[where], "g", [x], [y]))


@pytest.mark.parametrize("where", ["attribute", "subgraph"])
@pytest.mark.parametrize("location", ["../secret", "/etc/hostname"])
def test_no_place_in_an_onnx_model_reaches_other_files(where, location, tmp_path, import_, store):
    (tmp_path / "secret").write_bytes(b"\0\0\0\0")
    hidden_external(tmp_path / "price", location, where)
    with pytest.raises(IntegrityError) as caught:
        import_(tmp_path / "price", run=True)
    assert caught.value.context["missing"] == location
    assert files_of(store) == []


def test_of_one_network_in_several_formats_one_is_taken_and_the_others_named(tmp_path, import_):
    linear.write_program(tmp_path / "price")
    linear.write_paddle(tmp_path / "price")
    found = import_(tmp_path / "price")
    assert found.spec.format == "paddle-program"
    assert found.ignored == ("inference.json",)


def test_several_models_are_listed_with_the_way_to_choose(tmp_path, import_, store):
    for name in ("a", "b c"):
        linear.write_onnx(tmp_path / "all" / name)
    with pytest.raises(UsageError) as caught:
        import_(tmp_path / "all")
    assert caught.value.context["found"] == "a/model.onnx, b c/model.onnx"
    assert caught.value.hints == (
        f"choose one by its file: paddlesrv import {tmp_path}/all/a/model.onnx",
    )
    assert import_(tmp_path / "all" / "b c" / "model.onnx").spec.name == "b-c"


def test_several_models_in_an_archive_are_listed_with_the_way_to_unpack(tmp_path, import_):
    for name in ("a", "b"):
        linear.write_onnx(tmp_path / "all" / name)
    with pytest.raises(UsageError) as caught:
        import_(packed(tmp_path / "all", tmp_path / "all.tar"))
    assert f"tar -xf {tmp_path}/all.tar -C models" in caught.value.hints[0]
    assert "paddlesrv import models/all/a/model.onnx" in caught.value.hints[1]


def test_a_path_that_is_not_there_is_not_found(tmp_path, import_):
    with pytest.raises(NotFound, match="nothing is not there"):
        import_(tmp_path / "nothing")


def test_an_empty_directory_says_what_was_looked_for(tmp_path, import_):
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="is empty") as caught:
        import_(tmp_path / "empty")
    assert "*.pdmodel" in caught.value.context["looked for"]


def test_a_pipe_is_not_waited_for(tmp_path, import_):
    os.mkfifo(tmp_path / "pipe.onnx")
    with pytest.raises(UsageError, match="neither a file nor a directory"):
        import_(tmp_path / "pipe.onnx")


def test_a_file_of_no_known_kind_says_what_is(tmp_path, import_):
    (tmp_path / "weights.bin").write_bytes(b"what is this")
    with pytest.raises(UsageError, match="knows how to read"):
        import_(tmp_path / "weights.bin")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
@pytest.mark.parametrize("file", ["inference.json", "inference.pdiparams"])
def test_what_may_not_be_read_is_said(file, tmp_path, import_):
    linear.write_paddle(tmp_path / "price")
    (tmp_path / "price" / file).chmod(0)
    with pytest.raises(PaddlesrvError, match=rf"{file} cannot be read"):
        import_(tmp_path / "price")


# -- damage -------------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", ["pir", "program", "onnx"])
@pytest.mark.parametrize("damage", ["cut", "empty", "huge field"])
def test_a_damaged_program_is_an_error_and_nothing_is_left(
    layout, damage, tmp_path, import_, store
):
    write, _, program, _ = LAYOUTS[layout]
    write(tmp_path / "price")
    path = tmp_path / "price" / program
    body = path.read_bytes()
    new = {
        "cut": body[: len(body) // 2],
        "empty": b"",
        "huge field": body[:30] + b"\xff" * 9 + body,
    }
    path.write_bytes(new[damage])
    with pytest.raises((IntegrityError, UsageError)):  # cut PIR is not told from other JSON
        import_(tmp_path / "price")
    assert files_of(store) == []


@pytest.mark.parametrize("layout", ["pir", "program"])
def test_empty_parameters_are_an_error_and_nothing_is_left(layout, tmp_path, import_, store):
    LAYOUTS[layout][0](tmp_path / "price")
    (tmp_path / "price" / "inference.pdiparams").write_bytes(b"")
    with pytest.raises(IntegrityError, match="lost its parameters"):
        import_(tmp_path / "price")
    assert files_of(store) == []


def test_missing_parameters_are_an_error(tmp_path, import_):
    linear.write_paddle(tmp_path / "price")
    (tmp_path / "price" / "inference.pdiparams").unlink()
    with pytest.raises(IntegrityError, match="are missing"):
        import_(tmp_path / "price")


def test_an_archive_that_breaks_a_rule_is_refused_and_nothing_is_left(tmp_path, import_, store):
    archive = tmp_path / "m.tar"
    with tarfile.open(archive, "w") as target:
        target.addfile(tarfile.TarInfo("../evil.onnx"))
    with pytest.raises(IntegrityError, match="leads out"):
        import_(archive)
    assert files_of(store) == []


# -- names --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("shop/inference.pdmodel", "shop"),
        ("shop/serving_server", "shop"),
        ("shop/detector.onnx", "detector"),
        ("shop-v1.2.tar.gz", "shop-v1.2"),
        ("shop_models-1.0-py3-none-any.whl", "shop_models"),
        ("shop/inference/model.onnx", "shop"),
    ],
)
def test_a_model_is_called_as_people_call_it(path, name, tmp_path):
    if "." not in path:
        (tmp_path / path).mkdir(parents=True)
    assert default_name(tmp_path / path) == name
