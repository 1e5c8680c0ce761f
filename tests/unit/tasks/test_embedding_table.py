"""Cube's table, read in place; a damaged one is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from paddlesrv.errors import IntegrityError
from paddlesrv.tasks.embedding_table import EmbeddingTable
from tests.standins.recommendation import DIMENSIONS, TABLE_IDS, embedding, write_cube


@pytest.fixture
def place(tmp_path: Path) -> Path:
    write_cube(tmp_path / "test_dict" / "0")
    return tmp_path / "test_dict" / "0"


def test_every_id_has_its_vector_and_others_are_zeros(place: Path) -> None:
    table = EmbeddingTable(place)
    assert len(table) == len(TABLE_IDS)
    assert table.dimensions == DIMENSIONS
    ids = [0, 4999, 17, 5000, 2**64 - 1, 17]
    expected = np.array([embedding(each) for each in ids], np.float32)
    np.testing.assert_array_equal(table.vectors(ids), expected)


def test_it_is_found_below_a_directory(place: Path) -> None:
    assert EmbeddingTable(place.parents[1]).place == place


@pytest.mark.parametrize("name", ["index.n", "index.0", "data.n", "data.1"])
def test_a_file_that_is_cut_off_is_named(place: Path, name: str) -> None:
    path = place / name
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(IntegrityError, match=name.replace(".", r"\.")):
        EmbeddingTable(place)


def test_an_index_that_leads_out_of_the_data_is_refused(place: Path) -> None:
    index = bytearray((place / "index.0").read_bytes())
    index[8:16] = (9 << 32 | 4).to_bytes(8, "little")
    (place / "index.0").write_bytes(index)
    with pytest.raises(IntegrityError, match="block 9, which is not there"):
        EmbeddingTable(place).vectors([0])


def test_what_is_no_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(IntegrityError, match="holds no tables of embeddings"):
        EmbeddingTable(tmp_path)
