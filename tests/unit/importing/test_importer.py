"""From a path to an installed model or to nothing: tasks, trials, links, names, replacement."""

from __future__ import annotations

import json
import signal
import threading

import msgspec
import numpy as np
import psutil
import pytest

from paddlesrv.engines.base import EngineOptions
from paddlesrv.engines.files import checked_files
from paddlesrv.errors import EngineError, IntegrityError, NotFound, UsageError
from paddlesrv.importing import fitting
from paddlesrv.importing.trial import Answered, Trial, with_true_types
from paddlesrv.tasks import TASKS
from tests.standins import linear, nets
from tests.unit.importing import networks
from tests.unit.importing.test_origin import files_of

CHARACTERS = ["a", "b", " ", "字"]


def labels(tmp_path, *lines: str):
    path = tmp_path / "labels.txt"
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


# -- tasks --------------------------------------------------------------------------------------


def test_a_task_gets_its_roles_its_characters_and_a_run_of_its_example(tmp_path, import_):
    networks.write_recognition(tmp_path / "reader", classes=5)
    found = import_(
        tmp_path / "reader",
        task="text-recognition",
        labels=labels(tmp_path, *CHARACTERS),
        run=True,
    )
    assert (found.spec.inputs[0].role, found.spec.outputs[0].role) == ("image", "scores")
    assert found.spec.parameters == {"space": False}
    assert found.trial.result
    kept = found.installed.directory / found.spec.files["characters"]
    assert kept.read_text(encoding="utf-8").split("\n")[:-1] == CHARACTERS
    assert found.spec.digests.keys() == {"model.onnx", "added/characters.txt"}


def test_a_class_beyond_blank_and_characters_is_the_space(tmp_path, import_):
    networks.write_recognition(tmp_path / "reader", classes=5)
    found = import_(
        tmp_path / "reader", task="text-recognition", labels=labels(tmp_path, "a", "b", "c")
    )
    assert found.spec.parameters == {"space": True}


def test_characters_that_do_not_fit_the_network_are_refused(tmp_path, import_, store):
    networks.write_recognition(tmp_path / "reader", classes=9)
    with pytest.raises(UsageError, match="makes 5 classes with the blank, the network has 9"):
        import_(
            tmp_path / "reader", task="text-recognition", labels=labels(tmp_path, "a", "b", "c")
        )
    assert files_of(store) == []


def test_a_task_without_its_file_says_which_flag_gives_it(tmp_path, import_):
    networks.write_recognition(tmp_path / "reader")
    with pytest.raises(UsageError) as caught:
        import_(tmp_path / "reader", task="text-recognition")
    assert caught.value.hints[0] == "give the characters, one a line: --labels FILE"


def test_an_unknown_task_lists_those_there_are(tmp_path, import_):
    linear.write_onnx(tmp_path / "price")
    with pytest.raises(UsageError) as caught:
        import_(tmp_path / "price", task="text-detektion")
    assert "text-recognition" in caught.value.context["tasks"]
    assert caught.value.hints == ("did you mean --task text-detection?",)


@pytest.mark.parametrize(("word", "task"), fitting.SHORT_WORDS.items())
def test_a_short_word_means_a_task_that_there_is(word, task):
    assert fitting.task_name(word) == task
    assert task in TASKS
    assert word not in TASKS


@pytest.mark.parametrize("scores", [True, False])
def test_a_segmenter_that_answers_scores_or_classes_is_imported(scores, tmp_path, import_):
    networks.write_segmenter(tmp_path / "parts", scores=scores)
    parameters = {"resize": [32, 32], "output": "scores" if scores else "classes"}
    found = import_(tmp_path / "parts", task="segmentation", parameters=parameters, run=True)
    assert found.spec.task == "image-segmentation"
    assert (found.spec.inputs[0].role, found.spec.outputs[0].role) == ("image", "mask")
    assert found.trial.result


def test_a_task_of_several_models_is_none_for_one(tmp_path, import_):
    linear.write_onnx(tmp_path / "price")
    with pytest.raises(UsageError, match="several models together"):
        import_(tmp_path / "price", task="ocr")


def test_a_tensor_that_does_not_fit_the_task_is_named_with_what_was_expected(tmp_path, import_):
    nets.write_lookup(tmp_path / "words")
    with pytest.raises(UsageError, match="inputs of the network do not fit") as caught:
        import_(tmp_path / "words", task="text-detection")
    assert caught.value.context == {
        "text-detection takes": "image: float32 [?, 3, ?, ?]",
        "input ids": "int64 [?, ?]: its type is not float32",
    }


def test_an_output_that_does_not_fit_is_named_as_well(tmp_path, import_):
    networks.write_recognition(tmp_path / "reader")
    with pytest.raises(UsageError, match="outputs of the network") as caught:
        import_(tmp_path / "reader", task="text-line-orientation")
    assert caught.value.context["output scores"].endswith("it has 3 dimensions, not 2")


# -- labels -------------------------------------------------------------------------------------


def test_labels_are_kept_if_there_is_one_for_each_class(tmp_path, import_):
    networks.write_classifier(tmp_path / "sorter", classes=3)
    found = import_(tmp_path / "sorter", labels=labels(tmp_path, "x", "y", "z"))
    kept = found.installed.directory / found.spec.files["labels"]
    assert kept.read_text() == "x\ny\nz\n"
    with pytest.raises(UsageError, match="has 2 labels, the network 3 classes"):
        import_(tmp_path / "sorter", name="other", labels=labels(tmp_path, "x", "y"))


def test_labels_that_are_not_there_or_no_text_are_refused(tmp_path, import_):
    networks.write_classifier(tmp_path / "sorter")
    with pytest.raises(NotFound):
        import_(tmp_path / "sorter", labels=tmp_path / "none.txt")
    (tmp_path / "bad.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="not UTF-8"):
        import_(tmp_path / "sorter", labels=tmp_path / "bad.txt")


# -- what an exporter says ----------------------------------------------------------------------

RECOGNITION = """
Global: {model_name: my_rec}
PreProcess:
  transform_ops:
  - DecodeImage: {img_mode: BGR, channel_first: false}
  - MultiLabelEncode: {gtc_encode: NRTRLabelEncode}
  - RecResizeImg: {image_shape: [3, 48, 320]}
  - KeepKeys: {keep_keys: [image]}
PostProcess: {name: CTCLabelDecode, character_dict: [a, b, '字']}
"""
DETECTION = """
PreProcess:
  transform_ops:
  - DecodeImage: {img_mode: RGB}
  - DetLabelEncode: null
  - DetResizeForTest: {resize_long: 960}
  - NormalizeImage: {mean: [0.5, 0.5, 0.5], std: [0.1, 0.2, 0.3], scale: 1./255., order: hwc}
  - ToCHWImage: null
PostProcess: {name: DBPostProcess, thresh: 0.2, box_thresh: 0.45, unclip_ratio: 1.4}
"""


def test_an_export_that_says_what_it_does_is_believed_and_all_is_told(tmp_path, import_):
    networks.write_recognition(tmp_path / "reader")
    (tmp_path / "reader" / "inference.yml").write_text(RECOGNITION, encoding="utf-8")
    found = import_(tmp_path / "reader", run=True)
    assert found.spec.task == "text-recognition"
    assert found.spec.parameters == {"height": 48, "min_width": 320, "space": True}
    assert found.trial.result
    assert found.told[0] == "task text-recognition from inference.yml (PostProcess CTCLabelDecode)"
    assert "3 characters from inference.yml" in found.told


def test_a_detector_gets_the_numbers_of_its_export(tmp_path, import_):
    networks.write_detection(tmp_path / "finder")
    (tmp_path / "finder" / "inference.yml").write_text(DETECTION)
    found = import_(tmp_path / "finder", run=True)
    assert found.spec.parameters == {
        "channels": "rgb",
        "limit_side_len": 960,
        "limit_type": "max",
        "mean": [0.5, 0.5, 0.5],
        "std": [0.1, 0.2, 0.3],
        "score_threshold": 0.2,
        "box_threshold": 0.45,
        "unclip_ratio": 1.4,
    }
    assert len(found.told) == 1 + 8 + 1  # the task, each number, and what resize_long is taken for
    assert found.trial.result


def test_a_task_that_is_asked_for_goes_before_the_export(tmp_path, import_):
    networks.write_recognition(tmp_path / "reader")
    (tmp_path / "reader" / "inference.yml").write_text(RECOGNITION, encoding="utf-8")
    found = import_(tmp_path / "reader", task="tensors")
    assert (found.spec.task, found.spec.parameters, found.spec.files) == ("tensors", {}, {})


@pytest.mark.parametrize(
    ("old", "new", "doubt"),
    [
        ("1./255.", "__import__('os').abort()", "NormalizeImage.scale"),
        ("scale: 1./255.", "scale: 0.5", "NormalizeImage.scale"),
        ("- ToCHWImage", "- Rotate", "step Rotate"),
        ("resize_long: 960", "image_shape: [640, 640]", "DetResizeForTest with image_shape"),
        ("thresh: 0.2", "thresh: high", "thresh is 'high'"),
        ("thresh: 0.2", "use_dilation: true", "use_dilation"),
        ("PreProcess:", "PreProcess: [", "not YAML"),
        ("thresh: 0.2", "thresh: !!python/object/apply:os.abort []", "not YAML"),
    ],
)
def test_what_is_not_understood_is_not_taken_and_said(old, new, doubt, tmp_path, import_):
    networks.write_detection(tmp_path / "finder")
    (tmp_path / "finder" / "inference.yml").write_text(DETECTION.replace(old, new, 1))
    found = import_(tmp_path / "finder")
    assert (found.spec.task, found.spec.parameters) == ("tensors", {})
    (warning,) = found.warnings
    assert warning.startswith("inference.yml: ")
    assert doubt in warning


def test_characters_that_yaml_reads_as_something_else_are_not_guessed(tmp_path, import_):
    networks.write_recognition(tmp_path / "reader")
    text = RECOGNITION.replace("[a, b,", "[a, no,")
    (tmp_path / "reader" / "inference.yml").write_text(text, encoding="utf-8")
    found = import_(tmp_path / "reader")
    assert found.spec.task == "tensors"
    assert "number 2 of character_dict is False" in found.warnings[0]


def test_lists_that_refer_to_themselves_over_and_over_are_not_written_out(tmp_path, import_):
    networks.write_recognition(tmp_path / "reader")
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x]"]
    for i in range(1, 12):
        lines.append(f"a{i}: &a{i} [" + ", ".join([f"*a{i - 1}"] * 8) + "]")
    lines.append("PostProcess: {name: CTCLabelDecode, character_dict: *a11}")
    (tmp_path / "reader" / "inference.yml").write_text("\n".join(lines))
    assert "is a list, not a line of text" in import_(tmp_path / "reader").warnings[0]


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("infer_cfg.yml", "arch: YOLO\nlabel_list: [x, y, z]\n"),
        ("inference.yml", "PostProcess: {Topk: {topk: 5, label_list: [x, y, z]}}\n"),
    ],
)
def test_names_of_classes_are_taken_from_an_export_if_they_fit(file, text, tmp_path, import_):
    networks.write_classifier(tmp_path / "sorter", classes=3)
    (tmp_path / "sorter" / file).write_text(text)
    found = import_(tmp_path / "sorter")
    assert found.told == (f"3 labels from {file}",)
    networks.write_classifier(tmp_path / "sorter", classes=4)
    found = import_(tmp_path / "sorter", name="other")
    assert found.spec.files == {}
    assert "lists 3 labels, the network has 4 classes; not taken" in found.warnings[0]


# -- the trial ----------------------------------------------------------------------------------


@pytest.mark.parametrize("write", [linear.write_paddle, linear.write_program, linear.write_onnx])
def test_the_network_runs_once_on_the_engine_of_its_format(write, tmp_path, import_):
    write(tmp_path / "price")
    trial = import_(tmp_path / "price", run=True).trial
    assert trial.engine == ("onnxruntime" if write is linear.write_onnx else "paddle")
    assert trial.inputs == {"x": (1, 13)}
    assert [(o.dtype, o.shape) for o in trial.outputs] == [("float32", (1, 1))]
    assert (trial.chosen, trial.result) == ((), False)


def test_an_output_has_the_type_that_came_not_the_one_declared(tmp_path, import_):
    from onnx import TensorProto, helper

    networks.save(
        tmp_path / "odd",
        helper.make_graph(
            [helper.make_node("ArgMax", ["x"], ["y"], axis=1)],
            "g",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 4])],
            [helper.make_tensor_value_info("y", TensorProto.INT64, ["n", 1])],
        ),
    )
    spec = import_(tmp_path / "odd", run=True).spec
    trial = Trial(
        engine="onnxruntime",
        load_seconds=0,
        run_seconds=0,
        inputs={},
        outputs=(Answered(name="y", dtype="int32", shape=(1, 1)),),
    )
    corrected, told = with_true_types(spec, trial)
    assert corrected.outputs[0].dtype == "int32"
    assert told == ["y is int32, not int64 as its files say"]
    odd = msgspec.structs.replace(trial, outputs=(Answered(name="y", dtype="object", shape=(1,)),))
    assert with_true_types(spec, odd) == (spec, [])


def test_open_sizes_are_chosen_and_said(tmp_path, import_):
    nets.write_lookup(tmp_path / "words")
    trial = import_(tmp_path / "words", run=True).trial
    assert (trial.inputs, trial.chosen) == ({"ids": (1, 8)}, ("ids",))


def test_a_network_that_takes_one_open_size_only_is_given_others(tmp_path, import_):
    from onnx import TensorProto, helper, numpy_helper

    shape = numpy_helper.from_array(np.int64([-1, 3 * 224 * 224]), "shape")
    networks.save(
        tmp_path / "fixed",
        helper.make_graph(
            [helper.make_node("Reshape", ["x", "shape"], ["y"])],
            "g",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, "h", "w"])],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 3 * 224 * 224])],
            [shape],
        ),
    )
    assert import_(tmp_path / "fixed", run=True).trial.inputs == {"x": (1, 3, 224, 224)}


def test_an_answer_of_nan_is_an_error_and_nothing_is_installed(tmp_path, import_, store):
    networks.write_nan(tmp_path / "wrong")
    with pytest.raises(EngineError, match="answers NaN") as caught:
        import_(tmp_path / "wrong", run=True)
    assert caught.value.context["output"] == "y [1, 4]: 4 are not a number"
    assert files_of(store) == []
    assert import_(tmp_path / "wrong", run=False).trial is None


def test_a_network_that_never_answers_is_stopped(tmp_path, import_, store):
    networks.write_endless(tmp_path / "slow")
    with pytest.raises(EngineError, match=r"no answer within 3 s") as caught:
        import_(tmp_path / "slow", run=True, timeout_seconds=3)
    assert caught.value.context["engine"] == "onnxruntime"
    assert "--timeout 60" in caught.value.hints[0]
    assert files_of(store) == []


def test_a_network_that_ends_its_process_is_an_error(tmp_path, import_, store):
    networks.write_endless(tmp_path / "deadly")
    killed = threading.Event()

    def crash() -> None:
        # Whatever a network does to its process, a signal is what is seen of it.
        while not killed.is_set():
            for child in psutil.Process().children():
                if "paddlesrv.importing.trial_worker" in child.cmdline():
                    child.send_signal(signal.SIGSEGV)
                    killed.set()
            killed.wait(0.01)

    thread = threading.Thread(target=crash)
    thread.start()
    try:
        with pytest.raises(EngineError, match="killed by SIGSEGV"):
            import_(tmp_path / "deadly", run=True)
    finally:
        killed.set()
        thread.join()
    assert files_of(store) == []


def test_a_program_whose_operators_do_not_fit_is_an_error(tmp_path, import_, store):
    linear.write_paddle(tmp_path / "price")
    program = tmp_path / "price" / "inference.json"
    tree = json.loads(program.read_text())
    for operator in tree["program"]["regions"][0]["blocks"][0]["ops"]:
        for value in operator.get("I", []):
            value["%"] = 10**6  # a value that no operator makes
    program.write_text(json.dumps(tree))
    with pytest.raises(EngineError, match="paddle cannot load price") as caught:
        import_(tmp_path / "price", run=True)
    assert caught.value.context["while"] == "loading"
    assert "staging" not in str(caught.value.context)
    assert files_of(store) == []


@pytest.mark.parametrize("write", [linear.write_paddle, linear.write_program])
def test_parameters_of_another_network_are_an_error(write, tmp_path, import_, store):
    write(tmp_path / "price")
    path = tmp_path / "price" / "inference.pdiparams"
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(EngineError) as caught:
        import_(tmp_path / "price", run=True)
    assert caught.value.context["while"] == "loading"
    assert files_of(store) == []


# -- names, replacement, dry run ----------------------------------------------------------------


@pytest.mark.parametrize("name", ["ocr", "resnet50", "ResNet50-vd", "OCR_DET"])
def test_no_own_model_hides_one_of_the_catalogue(name, tmp_path, import_):
    linear.write_onnx(tmp_path / name)
    with pytest.raises(UsageError, match="name of the catalogue") as caught:
        import_(tmp_path / name)
    assert f"--name my-{name}" in caught.value.hints[0]


def test_a_taken_name_is_replaced_only_when_asked(tmp_path, import_, store):
    linear.write_onnx(tmp_path / "price")
    first = import_(tmp_path / "price")
    networks.write_classifier(tmp_path / "price")
    with pytest.raises(UsageError, match="name of an own model already"):
        import_(tmp_path / "price")
    assert store.installed("price") == first.installed
    second = import_(tmp_path / "price", force=True)
    assert store.installed("price") == second.installed
    assert second.spec.revision != first.spec.revision
    store.verify_digests(first.installed)  # whoever serves it still can


def test_a_failed_replacement_leaves_the_model_that_was_there(tmp_path, import_, store):
    linear.write_onnx(tmp_path / "price")
    first = import_(tmp_path / "price")
    networks.write_nan(tmp_path / "price")
    with pytest.raises(EngineError):
        import_(tmp_path / "price", force=True, run=True)
    assert store.installed("price") == first.installed


@pytest.mark.parametrize("name", ["../up", "a b", ""])
def test_a_name_that_cannot_be_one_is_refused(name, tmp_path, import_):
    linear.write_onnx(tmp_path / "price")
    with pytest.raises(UsageError):
        import_(tmp_path / "price", name=name)


def test_a_dry_run_does_all_but_install(tmp_path, import_, store):
    networks.write_recognition(tmp_path / "reader")
    wish = {"task": "text-recognition", "labels": labels(tmp_path, *CHARACTERS), "run": True}
    planned = import_(tmp_path / "reader", dry_run=True, **wish)
    assert planned.installed is None
    assert not store.root.exists()
    done = import_(tmp_path / "reader", **wish)
    assert done.spec == planned.spec


# -- links --------------------------------------------------------------------------------------


def test_a_linked_model_runs_from_where_it_is(tmp_path, import_, store):
    from paddlesrv.engines import load_engine
    from paddlesrv.engines.check_input import check_input

    linear.write_onnx(tmp_path / "price")
    found = import_(tmp_path / "price", link=True, run=True)
    assert (found.linked, found.installed.source) == (True, "link")
    kept = {path.name for path in found.installed.directory.iterdir() if not path.is_symlink()}
    assert kept == {"spec.json", "install.json"}
    model = store.installed("price")
    engine = load_engine(model.spec, model.directory, EngineOptions(engine="onnxruntime"))
    assert engine.run(check_input(model.spec))
    engine.close()


def test_a_change_of_a_linked_file_is_noticed_at_a_check_and_at_a_load(tmp_path, import_, store):
    linear.write_onnx(tmp_path / "price")
    model = import_(tmp_path / "price", link=True).installed
    store.verify_digests(model)
    body = (tmp_path / "price" / "model.onnx").read_bytes()
    (tmp_path / "price" / "model.onnx").write_bytes(body + b"\0")
    with pytest.raises(IntegrityError) as caught:
        store.verify_digests(model)
    again = f"paddlesrv import {tmp_path / 'price'} --name price --link --force"
    assert caught.value.hints == (again,)
    with pytest.raises(IntegrityError, match="has changed"):
        checked_files(model.spec, model.directory)
    (tmp_path / "price" / "model.onnx").unlink()
    with pytest.raises(IntegrityError, match="is missing"):
        checked_files(model.spec, model.directory)


def test_removing_a_linked_model_leaves_its_files_alone(tmp_path, import_, store):
    linear.write_paddle(tmp_path / "price")
    before = {p: p.read_bytes() for p in (tmp_path / "price").iterdir()}
    import_(tmp_path / "price", link=True)
    import_(tmp_path / "price", link=True, name="other")
    import_(tmp_path / "price", name="other", force=True)
    store.prune()
    assert store.remove("price")
    assert store.remove("other")
    assert {p: p.read_bytes() for p in (tmp_path / "price").iterdir()} == before
    assert files_of(store) == []


def test_an_archive_cannot_be_linked_to(tmp_path, import_):
    import zipfile

    linear.write_onnx(tmp_path / "price")
    with zipfile.ZipFile(tmp_path / "price.zip", "w") as archive:
        archive.write(tmp_path / "price" / "model.onnx", "model.onnx")
    with pytest.raises(UsageError, match="is an archive"):
        import_(tmp_path / "price.zip", link=True)
