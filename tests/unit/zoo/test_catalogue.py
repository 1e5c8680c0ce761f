import hashlib
import subprocess
import sys
from collections import Counter
from datetime import datetime, timezone
from pathlib import Path

import msgspec
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from paddlesrv.errors import IntegrityError, NotFound, PaddlesrvError, UsageError
from paddlesrv.zoo.catalogue import Catalogue, HttpsSource, WheelSource, data_directory
from paddlesrv.zoo.entries import SHIPPED

SERVING = "https://paddle-serving.bj.bcebos.com"
HUB = f"{SERVING}/paddle_hub_models"
OCR_2 = "https://paddleocr.bj.bcebos.com/dygraph_v2.0/ch"

# Paddle Serving 0.7's model zoo, family by family; None where it offered no archive.
SERVING_0_7 = {
    "classification": {
        "resnet_v2_50_imagenet": f"{HUB}/image/ImageClassification/resnet_v2_50_imagenet.tar.gz",
        "mobilenet_v2_imagenet": f"{HUB}/image/ImageClassification/mobilenet_v2_imagenet.tar.gz",
        "ResNet50_vd": f"{SERVING}/model/ResNet50_vd.tar",
        "ResNet50_vd_KL": f"{SERVING}/model/ResNet50_vd_KL.tar",
        "ResNet50_vd_FPGM": f"{SERVING}/model/ResNet50_vd_FPGM.tar",
        "ResNet50_vd_PACT": f"{SERVING}/model/ResNet50_vd_PACT.tar",
        "ResNeXt101_vd_64x4d": f"{SERVING}/model/ResNeXt101_vd_64x4d.tar",
        "DarkNet53": f"{SERVING}/model/DarkNet53.tar",
        "MobileNetV1": f"{SERVING}/model/MobileNetV1.tar",
        "MobileNetV2": f"{SERVING}/model/MobileNetV2.tar",
        "MobileNetV3_large_x1_0": f"{SERVING}/model/MobileNetV3_large_x1_0.tar",
        "HRNet_W18_C": f"{SERVING}/model/HRNet_W18_C.tar",
        "ShuffleNetV2_x1_0": f"{SERVING}/model/ShuffleNetV2_x1_0.tar",
    },
    "detection": {
        "blazeface": f"{HUB}/image/ObjectDetection/blazeface.tar.gz",
        "cascade_mask_rcnn_r50_vd_fpn_ssld_2x_coco": (
            f"{SERVING}/pddet_demo/cascade_mask_rcnn_r50_vd_fpn_ssld_2x_coco_serving.tar.gz"
        ),
        "yolov4": f"{HUB}/image/ObjectDetection/yolov4.tar.gz",
        "faster_rcnn_hrnetv2p_w18_1x": f"{SERVING}/pddet_demo/faster_rcnn_hrnetv2p_w18_1x.tar.gz",
        "fcos_dcn_r50_fpn_1x_coco": f"{SERVING}/pddet_demo/2.0/fcos_dcn_r50_fpn_1x_coco.tar",
        "ssd_vgg16_300_240e_voc": f"{SERVING}/pddet_demo/2.0/ssd_vgg16_300_240e_voc.tar",
        "yolov3_darknet53_270e_coco": f"{SERVING}/pddet_demo/2.0/yolov3_darknet53_270e_coco.tar",
        "faster_rcnn_r50_fpn_1x_coco": f"{SERVING}/pddet_demo/2.0/faster_rcnn_r50_fpn_1x_coco.tar",
        "ppyolo_r50vd_dcn_1x_coco": f"{SERVING}/pddet_demo/2.0/ppyolo_r50vd_dcn_1x_coco.tar",
        "ppyolo_mbv3_large_coco": f"{SERVING}/pddet_demo/2.0/ppyolo_mbv3_large_coco.tar",
        "ttfnet_darknet53_1x_coco": f"{SERVING}/pddet_demo/ttfnet_darknet53_1x_coco.tar",
        "YOLOv3-DarkNet": f"{SERVING}/pddet_demo/2.0/yolov3_darknet53_270e_coco.tar",
    },
    "ocr": {
        "ocr_rec": f"{HUB}/image/OCR/ocr_rec.tar.gz",
        "ocr_det": f"{SERVING}/ocr/ocr_det.tar.gz",
        "ch_ppocr_mobile_v2.0_det": f"{OCR_2}/ch_ppocr_mobile_v2.0_det_infer.tar",
        "ch_ppocr_server_v2.0_det": f"{OCR_2}/ch_ppocr_server_v2.0_det_infer.tar",
        "ch_ppocr_mobile_v2.0_rec": f"{OCR_2}/ch_ppocr_mobile_v2.0_rec_infer.tar",
        "ch_ppocr_server_v2.0_rec": f"{OCR_2}/ch_ppocr_server_v2.0_rec_infer.tar",
        "ch_ppocr_mobile_v2.0": None,
        "ch_ppocr_server_v2.0": None,
    },
    "segmentation": {
        "deeplabv3": f"{HUB}/image/ImageSegmentation/deeplabv3.tar.gz",
        "unet": f"{HUB}/image/ImageSegmentation/unet.tar.gz",
    },
    "language": {
        "bert_chinese_L-12_H-768_A-12": (
            f"{HUB}/text/SemanticModel/bert_chinese_L-12_H-768_A-12.tar.gz"
        ),
        "senta_bilstm": f"{HUB}/text/SentimentAnalysis/senta_bilstm.tar.gz",
        "lac": f"{HUB}/text/LexicalAnalysis/lac.tar.gz",
        "transformer": None,
    },
    "recommendation": {
        "criteo_ctr": f"{SERVING}/criteo_ctr_example/criteo_ctr_demo_model.tar.gz",
        "criteo_ctr_with_cube": f"{SERVING}/unittest/ctr_cube_unittest.tar.gz",
        "wide&deep": None,
    },
}

FAMILIES = {
    "image-classification": "classification",
    "object-detection": "detection",
    "text-detection": "ocr",
    "text-recognition": "ocr",
    "ocr": "ocr",
    "image-segmentation": "segmentation",
    "text-embedding": "language",
    "sentiment-analysis": "language",
    "lexical-analysis": "language",
    "translation": "language",
    "click-through-rate": "recommendation",
}

PLAIN = {
    "name": "a_net",
    "task": "tensors",
    "collection": "test",
    "description": "a network",
    "status": "ready",
    "sources": [{"kind": "https", "url": "https://example.org/a.tar"}],
}


@pytest.fixture(scope="module")
def catalogue():
    return Catalogue.load()


@pytest.fixture
def load(tmp_path):
    """Load a manifest made of `PLAIN` with these changes, one mapping an entry."""

    def load(*changes, **top):
        path = tmp_path / "manifest.yaml"
        models = [{**PLAIN, **change} for change in changes]
        path.write_text(yaml.safe_dump({"schema": 1, "models": models, **top}))
        return Catalogue.load(path)

    return load


def refusal(load, *changes):
    with pytest.raises(UsageError) as caught:
        load(*changes)
    return caught.value.message


class TestThePackagedManifest:
    def test_has_the_42_models_of_paddle_serving_by_family_in_order(self, catalogue):
        entries = [e for e in catalogue.entries if e.collection == "paddle-serving-0.7"]
        by_family = [(FAMILIES[e.task], e.name) for e in entries]
        assert by_family == [(f, name) for f, models in SERVING_0_7.items() for name in models]
        counts = Counter(family for family, _ in by_family)
        assert list(counts.values()) == [13, 12, 8, 2, 4, 3]

    def test_has_every_archive_first_among_the_sources_of_its_model(self, catalogue):
        for models in SERVING_0_7.values():
            for name, url in models.items():
                entry = catalogue.get(name)
                found = entry.sources[0].url if entry.sources else None
                if entry.recipe is None:  # else what is fetched is no ready archive
                    assert found == url, name

    def test_says_of_models_without_an_archive_what_they_are_instead(self, catalogue):
        statuses = {
            name: catalogue.get(name).status
            for models in SERVING_0_7.values()
            for name, url in models.items()
            if url is None and not catalogue.get(name).sources
        }
        assert statuses == {
            "ch_ppocr_mobile_v2.0": "pipeline",
            "ch_ppocr_server_v2.0": "pipeline",
            "wide&deep": "needs-export",
        }

    def test_takes_a_name_to_one_network_only(self, catalogue):
        """A newer network has a name of its own and is no second source of an older one."""
        for entry in catalogue.entries:
            if entry.collection == "paddle-serving-0.7":
                assert all(isinstance(source, HttpsSource) for source in entry.sources), entry.name

    def test_pins_every_package(self, catalogue):
        sources = [s for e in catalogue.entries for s in e.sources if isinstance(s, WheelSource)]
        sources += [
            extra.source
            for e in catalogue.entries
            for extra in e.extras
            if isinstance(extra.source, WheelSource)
        ]
        assert len(sources) >= 6
        assert all(len(s.sha256) == 64 and s.file.lower().count(s.version) for s in sources)
        assert len({(s.package, s.sha256) for s in sources}) == len({s.package for s in sources})

    def test_gives_every_file_of_a_package_model_a_member_that_brings_it(self, catalogue):
        for entry in catalogue.entries:
            for source in [*entry.sources, *(extra.source for extra in entry.extras)]:
                if isinstance(source, WheelSource) and entry.collection == "packages":
                    own = {p for p in entry.files.values() if not p.startswith(SHIPPED)}
                    assert own <= set(source.members.values()), entry.name

    def test_gives_each_task_the_parameters_and_files_that_it_reads(self, catalogue):
        wanted = {
            "text-detection": {
                "limit_side_len", "limit_type", "side_multiple", "mean", "std", "channels",
                "score_threshold", "box_threshold", "unclip_ratio", "max_candidates", "min_side",
            },
            "text-recognition": {
                "height", "min_width", "max_width", "width_step", "blank", "space",
            },
            "text-line-orientation": {"height", "width", "threshold"},
            "ocr": {"orientation"},
            "lexical-analysis": set(),
            "sentiment-analysis": {"unknown_id"},
        }  # fmt: skip
        files = {
            "text-recognition": {"characters"},
            "lexical-analysis": {"words", "tags", "full_to_half"},
            "text-embedding": {"vocabulary"},
            "sentiment-analysis": {"vocabulary", "labels"},
        }
        seen = Counter(entry.task for entry in catalogue.entries)
        assert wanted.keys() <= seen.keys()
        for entry in catalogue.entries:
            # Two programs, two rules for tags.
            if entry.name == "lac":
                assert entry.parameters == {"rules": "paddle-serving"}
            elif entry.task in wanted:
                assert set(entry.parameters) == wanted[entry.task], entry.name
            assert files.get(entry.task, set()) <= set(entry.files), entry.name

    def test_ships_label_files_with_the_lines_that_they_are_known_to_have(self, catalogue):
        """The digests are those of Paddle Serving's own label files."""
        digests = {
            catalogue.get(name).files["labels"]: hashlib.md5(
                catalogue.shipped_file(catalogue.get(name).files["labels"]).read_bytes()
            ).hexdigest()
            for name in ("yolov4", "ssd_vgg16_300_240e_voc")
        }
        assert digests == {
            "zoo:labels/coco.txt": "0c544af3ab6618ea53c15e72fa43c3dd",
            "zoo:labels/voc.txt": "5ae5d62183cfb6f6d3ac109359d06a1b",
        }

    def test_lists_the_tokens_of_a_table_where_the_network_has_them(self, catalogue):
        path = catalogue.shipped_file(catalogue.get("slanet_plus").files["tokens"])
        tokens = ["start", *path.read_text().split("\n")[:-1], "end"]
        assert len(tokens) == 50
        assert [tokens[i] for i in (5, 6, 48)] == ["<tr>", "</tr>", "<td></td>"]

    def test_writes_repeated_tensors_out(self, catalogue):
        aliases = [hint.alias for hint in catalogue.get("criteo_ctr").inputs]
        assert aliases == [f"sparse_{i}" for i in range(26)]
        wide = catalogue.get("wide&deep").inputs
        assert (wide[0].alias, wide[25].role, wide[26].alias) == (
            "C1",
            "categorical_26",
            "dense_input",
        )

    def test_has_its_own_revision(self, catalogue):
        content = (data_directory() / "manifest.yaml").read_bytes()
        assert catalogue.revision == hashlib.sha256(content).hexdigest()[:12]

    def test_knows_what_is_to_download(self, catalogue):
        assert catalogue.get("PP-OCRv4_mobile_det").size == 14961695
        assert catalogue.get("senta_bilstm").size == 578370000
        assert catalogue.get("ocr").size is None


class TestResolving:
    @pytest.mark.parametrize(
        ("asked", "name", "by_alias"),
        [
            ("ResNet50_vd", "ResNet50_vd", False),
            ("resnet50", "ResNet50_vd", True),
            ("RESNET50-VD", "ResNet50_vd", False),
            (" ocr-det ", "ocr_det", False),
            ("OCR_REC", "ocr_rec", False),
            ("wide-deep", "wide&deep", True),
            ("yolov3_darknet", "YOLOv3-DarkNet", True),
            ("YoloV3", "yolov3_darknet53_270e_coco", True),
            ("bert", "bert_chinese_L-12_H-768_A-12", True),
            ("ocr", "ocr", False),
        ],
    )
    def test_finds_names_and_aliases_in_any_spelling(self, catalogue, asked, name, by_alias):
        found = catalogue.resolve(asked)
        assert (found.entry.name, found.by_alias) == (name, by_alias)

    def test_finds_every_entry_by_each_of_its_names(self, catalogue):
        for entry in catalogue.entries:
            for name in (entry.name, *entry.aliases):
                assert catalogue.resolve(name.upper().replace("_", "-")).entry is entry

    @pytest.mark.parametrize(
        ("asked", "meant"),
        [
            ("resnt50", "resnet50"),
            ("lca", "lac"),
            ("mobilenet", "MobileNetV1"),
            ("yolo4", "yolov4"),
        ],
    )
    def test_suggests_what_a_mistyped_name_may_mean(self, catalogue, asked, meant):
        with pytest.raises(NotFound, match=asked) as caught:
            catalogue.resolve(asked)
        suggestion, search = caught.value.hints
        assert meant in suggestion
        assert suggestion.startswith("did you mean ")
        assert search.endswith(f"paddlesrv search {asked}")

    def test_suggests_nothing_where_nothing_is_near(self, catalogue):
        with pytest.raises(NotFound) as caught:
            catalogue.resolve("qqqqqq")
        assert [hint for hint in caught.value.hints if "did you mean" in hint] == []

    def test_quotes_the_name_in_the_command_that_it_gives(self, catalogue):
        with pytest.raises(NotFound) as caught:
            catalogue.resolve("cats; dogs")
        assert caught.value.hints[-1].endswith("paddlesrv search 'cats; dogs'")

    def test_refuses_to_choose_between_two(self, load):
        two = load({"name": "x-y_z"}, {"name": "x_y-z"})
        assert two.resolve("x-y_z").entry.name == "x-y_z"
        with pytest.raises(UsageError, match="x-y_z, x_y-z"):
            two.resolve("x_y_z")

    def test_get_takes_the_exact_name_only(self, catalogue):
        assert catalogue.get("ResNet50_vd").name == "ResNet50_vd"
        for other in ("resnet50", "resnet50_vd", "nothing"):
            with pytest.raises(NotFound):
                catalogue.get(other)

    @given(st.text(max_size=30))
    def test_any_text_is_an_entry_or_an_error_of_ours(self, text):
        try:
            found = Catalogue.load().resolve(text)
        except PaddlesrvError:
            return
        assert text.strip().lower().replace("-", "_") in {
            name.lower().replace("-", "_") for name in (found.entry.name, *found.entry.aliases)
        }


class TestSearch:
    @pytest.mark.parametrize(
        ("query", "first"),
        [
            ("ocr", "ocr"),
            ("resnet50", "ResNet50_vd"),
            ("face", "ssd_mobilenet_v1_face"),
            ("sentiment", "senta_bilstm"),
            ("faster rcnn hrnet", "faster_rcnn_hrnetv2p_w18_1x"),
            ("segmentation", "deeplabv3"),
            ("image-segmentation", "deeplabv3"),
            ("tabel", "slanet_plus"),
            ("translation german", "transformer"),
            ("darknt", "DarkNet53"),
        ],
    )
    def test_puts_the_best_first(self, catalogue, query, first):
        assert catalogue.search(query)[0].name == first

    def test_wants_every_word(self, catalogue):
        found = catalogue.search("detection text")
        assert {entry.task for entry in found} == {"text-detection"}

    def test_tolerates_a_slip_in_a_prefix(self, catalogue):
        found = [entry.name for entry in catalogue.search("mobilnet")]
        assert set(found[:4]) == {
            "mobilenet_v2_imagenet", "MobileNetV1", "MobileNetV2", "MobileNetV3_large_x1_0",
        }  # fmt: skip

    def test_finds_nothing_for_nonsense_and_all_for_nothing(self, catalogue):
        assert catalogue.search("zzzzqqq") == []
        assert catalogue.search("  ") == list(catalogue.entries)


class TestABadManifest:
    def test_with_one_alias_twice_is_refused(self, load):
        message = refusal(load, {"aliases": ["net"]}, {"name": "b_net", "aliases": ["NET"]})
        assert "'b_net'" in message
        assert "'NET' is already a name of 'a_net'" in message

    def test_with_an_alias_that_is_another_name_is_refused(self, load):
        assert "'A_Net'" in refusal(load, {}, {"name": "b_net", "aliases": ["A_Net"]})

    def test_with_two_names_that_differ_in_case_is_refused(self, load):
        assert "'A_NET'" in refusal(load, {}, {"name": "A_NET"})

    def test_with_a_pipeline_of_an_unknown_component_is_refused(self, load):
        pipe = {"name": "pipe", "status": "pipeline", "sources": []}
        good = load({}, {**pipe, "components": {"detection": "a_net"}})
        assert good.get("pipe").components == {"detection": "a_net"}
        message = refusal(load, {}, {**pipe, "components": {"detection": "b_net"}})
        assert message.endswith(
            "'pipe': component 'detection' is 'b_net', which is no entry's name"
        )

    def test_with_a_component_by_its_alias_is_refused(self, load):
        pipe = {"name": "pipe", "status": "pipeline", "sources": [], "components": {"r": "net"}}
        assert "'net', which is no entry's name" in refusal(load, {"aliases": ["net"]}, pipe)

    def test_with_any_unknown_requirement_is_refused(self, load):
        other = {"name": "b_net", "requires": ["missing", "a_net"]}
        assert "requirement is 'missing'" in refusal(load, {}, other)

    def test_with_an_unknown_field_is_refused_with_its_path_and_entry(self, load):
        message = refusal(load, {}, {"name": "b_net", "inputs": [{"name": "x", "shap": [1]}]})
        assert "'b_net'" in message
        assert "`shap`" in message
        assert "$.models[1].inputs[0]" in message

    def test_with_an_unknown_kind_of_source_is_refused(self, load):
        source = {"kind": "ftp", "url": "https://example.org/a.tar"}
        message = refusal(load, {"sources": [source]})
        assert "'ftp'" in message
        assert "$.models[0].sources[0].kind" in message

    @pytest.mark.parametrize(
        "change",
        [
            {"status": "ready", "sources": []},
            {"status": "pipeline", "components": {"a": "a_net"}},
            {"status": "pipeline", "sources": []},
            {"status": "needs-export", "notes": ["export it"]},
            {"status": "needs-export", "sources": []},
            {"status": "needs-export", "sources": [], "notes": ["x"], "components": {"a": "b"}},
        ],
    )
    def test_with_a_status_that_its_sources_contradict_is_refused(self, load, change):
        assert "'a_net'" in refusal(load, change)

    @pytest.mark.parametrize("name", ["../x", "a/b", ".hidden", "a b", "", "a%2fb", "-rf", "a\n"])
    def test_with_a_name_unfit_for_a_directory_or_a_url_is_refused(self, load, name):
        assert "$.models[0].name" in refusal(load, {"name": name})

    @pytest.mark.parametrize("path", ["/etc/passwd", "../up", "a/../../b", "zoo:../x", "a\\b", ""])
    def test_with_a_path_out_of_the_model_is_refused(self, load, path):
        assert "'a_net'" in refusal(load, {"files": {"labels": path}})
        assert "'a_net'" in refusal(load, {"layout": {"server_dir": path.removeprefix("zoo:")}})

    def test_with_a_source_that_is_not_encrypted_is_refused(self, load):
        source = {"kind": "https", "url": "http://example.org/a.tar"}
        assert "$.models[0].sources[0].url" in refusal(load, {"sources": [source]})

    def test_with_a_shipped_file_that_is_not_there_is_refused(self, load):
        assert "'labels'" in refusal(load, {"files": {"labels": "zoo:labels/none.txt"}})

    @pytest.mark.parametrize(
        "members", [{}, {"a/": "b"}, {"a": "b/"}, {"../a": "b"}, {"a": "/b"}, {"a/": "../"}]
    )
    def test_with_members_that_cannot_be_meant_is_refused(self, load, members):
        source = {
            "kind": "wheel", "package": "p", "version": "1", "file": "p-1.whl", "size": 1,
            "sha256": "0" * 64,
        }  # fmt: skip
        assert load({"sources": [{**source, "members": {"a/": "./"}}]}).get("a_net").size == 1
        assert "$.models[0].sources[0]" in refusal(
            load, {"sources": [{**source, "members": members}]}
        )

    @pytest.mark.parametrize(
        "text",
        [b"models: [", b"\xff\xfe\x00", b"", b"[]", b"schema: 2\nmodels: []", b"a: 2021-99-99"],
    )
    def test_that_is_no_manifest_at_all_is_refused_with_the_file(self, tmp_path, text):
        path = tmp_path / "manifest.yaml"
        path.write_bytes(text)
        with pytest.raises(UsageError) as caught:
            Catalogue.load(path)
        assert caught.value.context["file"] == str(path)
        assert "PADDLESRV_CATALOGUE" in caught.value.hints[0]

    def test_that_is_not_there_is_refused(self, tmp_path):
        with pytest.raises(UsageError, match="No such file"):
            Catalogue.load(tmp_path / "none.yaml")


class TestDataDirectory:
    def test_lies_inside_an_installed_package(self, tmp_path):
        """As the wheel lays it out: the package, with `_data/zoo` in it, and nothing beside."""
        package = Path(sys.modules["paddlesrv"].__file__).parent
        installed = tmp_path / "paddlesrv"
        (installed / "_data").mkdir(parents=True)
        for part in ("__init__.py", "errors.py", "models", "zoo"):
            (installed / part).symlink_to(package / part)
        # `__file__` is resolved, so the module itself must lie in the copy.
        (installed / "zoo").unlink()
        (installed / "zoo").mkdir()
        for module in (package / "zoo").glob("*.py"):
            (installed / "zoo" / module.name).write_bytes(module.read_bytes())
        (installed / "_data" / "zoo").symlink_to(data_directory())
        script = "from paddlesrv.zoo.catalogue import *; print(len(Catalogue.load().entries))"
        result = _python(script, tmp_path)
        assert int(result) == len(Catalogue.load().entries)

    def test_missing_is_an_integrity_error(self, monkeypatch, tmp_path):
        monkeypatch.setattr("paddlesrv.zoo.catalogue.__file__", str(tmp_path / "a" / "b" / "c.py"))
        with pytest.raises(IntegrityError, match="damaged"):
            data_directory()


def test_importing_and_loading_the_catalogue_is_light():
    script = (
        "import sys; from paddlesrv.zoo.catalogue import Catalogue; Catalogue.load();"
        "print(sorted({m.split('.')[0] for m in sys.modules}))"
    )
    loaded = set(yaml.safe_load(_python(script, Path.cwd())))
    assert "msgspec" in loaded
    heavy = {"numpy", "httpx", "cv2", "paddle", "onnxruntime", "grpc", "docker", "rich", "typer"}
    assert loaded & heavy == set()


def test_entries_can_be_printed_as_json():
    for entry in Catalogue.load().entries:
        assert msgspec.json.decode(msgspec.json.encode(entry))["name"] == entry.name


def _python(script, directory):
    command = [sys.executable, "-c", script]
    return subprocess.run(command, cwd=directory, check=True, capture_output=True, text=True).stdout


@pytest.mark.parametrize(
    "text", ["2026-11-23", "'2026-11-23'", "2026-11-23T00:00:00Z", "2026-11-23T01:00:00+01:00",
             "2026-11-23 00:00:00", "'2026-11-23T00:00:00'"],
)  # fmt: skip
def test_the_date_of_an_edition_is_the_same_moment_however_it_is_written(tmp_path, text):
    path = tmp_path / "manifest.yaml"
    path.write_text(f"schema: 1\npublished: {text}\nmodels: []\n")
    assert Catalogue.load(path).published == datetime(2026, 11, 23, tzinfo=timezone.utc)


@pytest.mark.parametrize("text", ["yesterday", "1", "[]", "2026-13-01T00:00:00Z"])
def test_a_date_that_is_none_is_refused(tmp_path, text):
    path = tmp_path / "manifest.yaml"
    path.write_text(f"schema: 1\npublished: {text}\nmodels: []\n")
    with pytest.raises(UsageError):
        Catalogue.load(path)
