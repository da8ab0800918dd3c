"""Files of numbers: every row is an event or a refusal with its line, and only a useless file is an error."""

from __future__ import annotations

import csv
import io
import json
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.examples import examples
from trunkline.events.event import NumberEvent, to_wire
from trunkline.lifecycle import RefusalCode
from trunkline_producers import BadFile, Row, read_rows
from trunkline_producers.files.lines import MAX_LINES, MAX_ROW

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a file and says where."""

    def written(content: str | bytes, name: str = "numbers.csv") -> Path:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return written


def events(rows: Iterator[Row]) -> list[NumberEvent]:
    return [row.event for row in rows if row.event is not None]


def numbers(path: Path) -> list[str]:
    return [number for event in events(read_rows(path)) for number in event.numbers]


def refusals(path: Path) -> list[tuple[int, str, str]]:
    """Line, code and sentence of each refused row."""
    return [(row.line, row.refusal.code.value, row.refusal.message) for row in read_rows(path) if row.refusal]


def only(path: Path, **options: object) -> NumberEvent:
    (event,) = events(read_rows(path, **options))  # type: ignore[arg-type]  # keywords of read_rows
    return event


# What a row says


def test_known_columns_are_read_by_name_and_the_rest_is_metadata(write: Write) -> None:
    path = write(
        "Customer, NUMBER ,Profile,Event_ID,source,occurred_at,city\n"
        "42,+14155550100,support,evt_1,billing,2026-11-22T12:00:00Z,\n"
    )
    assert only(path) == NumberEvent(
        event_id="evt_1",
        numbers=("+14155550100",),
        profile="support",
        source="billing",
        occurred_at=datetime(2026, 11, 22, 12, tzinfo=UTC),
        metadata={"Customer": "42"},
    )


def test_a_row_takes_what_it_does_not_say_from_the_options(write: Write) -> None:
    path = write("number,profile,source\n1,,\n2,uk,crm\n")
    first, second = events(read_rows(path, profile="support", force=True, default_source="sheet"))
    assert (first.profile, first.source, first.force) == ("support", "sheet", True)
    assert (second.profile, second.source, second.force) == ("uk", "crm", True)


def test_a_named_column_has_the_number_and_the_column_number_becomes_metadata(write: Write) -> None:
    event = only(write("number,Phone\nA-17,+14155550100\n"), number_column=" phone ")
    assert event.numbers == ("+14155550100",)
    assert event.metadata == {"number": "A-17"}


def test_a_cell_of_numbers_holds_several(write: Write) -> None:
    path = write('numbers,profile\n"+14155550100; +14155550101,+14155550102\n+14155550103",support\n')
    assert only(path).numbers == ("+14155550100", "+14155550101", "+14155550102", "+14155550103")


def test_number_stands_before_numbers(write: Write) -> None:
    assert only(write("number;numbers\n1;2|3\n")).numbers == ("1", "2", "3")


def test_nameless_and_repeated_columns_keep_their_values_apart(write: Write) -> None:
    event = only(write("number,,note,note,Full\tName\n1,a,b,c,d\n"))
    assert event.metadata == {"column_2": "a", "note": "b", "note 2": "c", "Full Name": "d"}


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_told_from_the_first_line(write: Write, delimiter: str) -> None:
    path = write(f'number{delimiter}"a,b;c\td|e,,;;||"\n+14155550100{delimiter}x\n')
    event = only(path)
    assert event.numbers == ("+14155550100",)
    assert list(event.metadata.values()) == ["x"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_text_is_read_in_every_encoding_that_says_what_it_is(write: Write, encoding: str) -> None:
    path = write("number,name\n+14155550100,Zoë 🦊\n".encode(encoding))
    event = only(path)
    assert (event.numbers, dict(event.metadata)) == (("+14155550100",), {"name": "Zoë 🦊"})


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_line_ends_of_every_system_are_read_alike(write: Write, end: str) -> None:
    path = write(f'{end}number,note{end}1,"a{end}b"{end}{end}2,x')
    rows = list(read_rows(path))
    assert [(row.line, row.event.numbers, dict(row.event.metadata)) for row in rows if row.event] == [
        (3, ("1",), {"note": "a\nb"}),
        (6, ("2",), {"note": "x"}),
    ]


def test_a_row_may_end_early_or_in_empty_cells_and_a_row_without_text_is_none(write: Write) -> None:
    path = write("number,a,b\n1\n2,x,y,,\n , ,\n\n3,x\n")
    assert numbers(path) == ["1", "2", "3"]
    assert refusals(path) == []


# Event ids


def test_a_file_read_twice_gives_the_same_events(write: Write) -> None:
    path = write("number,customer\n1,a\n2,b\n1,b\n")
    once, twice = events(read_rows(path)), events(read_rows(path))
    assert once == twice
    assert len({event.event_id for event in once}) == 3
    assert all(len(event.event_id) == 36 and event.event_id.startswith("row-") for event in once)


def test_rows_that_say_the_same_are_one_event_whatever_the_order_of_columns_or_the_spaces(write: Write) -> None:
    first = only(write("number,profile,b,a\n+1 415,support,2,1\n", "first.csv"))
    second = only(write("a;number;b\n 1;  +1 415  ; 2 \n", "second.csv"), profile="support")
    assert first.event_id == second.event_id


@pytest.mark.parametrize(
    "other",
    [
        "number,profile,a,b\n12,support,x,y\n",
        "number,profile,a,b\n1,uk,x,y\n",
        "number,profile,a,b\n1,support,xy,\n",
        "number,profile,a,c\n1,support,x,y\n",
        "number,profile,a,b,occurred_at\n1,support,x,y,2026-11-22T12:00:00Z\n",
    ],
)
def test_rows_that_say_different_things_are_different_events(write: Write, other: str) -> None:
    one = only(write("number,profile,a,b\n1,support,x,y\n"))
    assert only(write(other, "other.csv")).event_id != one.event_id


def test_the_event_id_of_a_row_never_changes_from_one_release_to_the_next(write: Write) -> None:
    event = only(write("number,profile,customer\n+14155550100,support,42\n"))
    assert event.event_id == "row-ca896cc65bd2429c0f04dc84b2272d31"


# Rows that are refused


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (b"\xff\xfe,x", "the row is not UTF-8"),
        (b"1,a\x00b", "the row contains a NUL byte"),
        (b",x", 'the row has no number (looked for in "number")'),
        (b"1,x,y,z", "the row has 4 cells, and the first line names 2 columns"),
        (b'1,"x"y', "a quote that does not end its cell"),
        (b'1,"x', "a quote that"),
        (b"1," + b"x" * 600, "metadata.note: has 600 characters"),
        (b"1," + b"x" * (MAX_ROW + 10), f"the row is longer than {MAX_ROW} characters"),
    ],
)
def test_a_bad_row_is_refused_with_its_line_and_the_rest_goes_on(write: Write, row: bytes, said: str) -> None:
    path = write(b"number,note\n10,a\n" + row + b'\n11,"b"\n12,c\n')
    ((line, code, message),) = refusals(path)
    assert (line, said in message) == (3, True), message
    assert code == ("invalid_number" if "no number" in said else "invalid_event")
    assert numbers(path) == ["10", "11", "12"]


def test_a_quote_that_never_closes_costs_one_row(write: Write) -> None:
    rest = "".join(f"{n},x\n" for n in range(3 * MAX_LINES))
    path = write('number,note\n1,"x\n' + rest)
    assert refusals(path) == [
        (
            2,
            "invalid_event",
            f"the row has a quote that does not close within {MAX_LINES} lines and {MAX_ROW} characters",
        )
    ]
    assert numbers(path) == [str(n) for n in range(3 * MAX_LINES)]


def test_a_quote_open_at_the_end_of_the_file_costs_one_row(write: Write) -> None:
    path = write('number,note\n1,"x\n2,y\n3,z')
    assert refusals(path) == [
        (2, "invalid_event", "the row has a quote that does not close before the end of the file")
    ]
    assert numbers(path) == ["2", "3"]


def test_text_in_utf_16_that_breaks_off_within_a_character_costs_the_last_row(write: Write) -> None:
    path = write("number\n1\n2".encode("utf-16") + b"\x00")
    assert numbers(path) == ["1"]
    assert refusals(path) == [(3, "invalid_event", "the row is not UTF-16")]


def test_a_time_that_is_none_is_refused_with_the_number_it_belongs_to(write: Write) -> None:
    (row,) = read_rows(write("number,occurred_at\n1,yesterday\n"))
    assert row.refusal is not None
    assert (row.refusal.number, row.refusal.code) == ("1", RefusalCode.invalid_event)
    assert row.refusal.message == "occurred_at: must be an RFC 3339 time such as 2026-11-22T12:00:00Z"


# JSON lines


def test_json_lines_are_told_by_their_first_character_whatever_the_name(write: Write) -> None:
    path = write('\n  {"number": "1", "Profile": "support", "customer": 42, "vip": true, "note": null, "city": ""}\n')
    event = only(path)
    assert (event.numbers, event.profile) == (("1",), "support")
    assert event.metadata == {"customer": "42", "vip": "true"}
    assert [row.line for row in read_rows(path)] == [2]


@pytest.mark.parametrize("name", ["numbers.jsonl", "numbers.NDJSON"])
def test_a_json_lines_suffix_holds_even_where_the_first_line_is_broken(write: Write, name: str) -> None:
    path = write('oops\n{"number": "1"}\n', name)
    ((line, code, message),) = refusals(path)
    assert (line, code) == (1, "invalid_event")
    assert message.startswith("the row is not JSON: Expecting value at character 1")
    assert numbers(path) == ["1"]


def test_native_events_go_through_a_file_and_come_back_the_same(write: Write) -> None:
    event = NumberEvent(
        event_id="evt_1",
        numbers=("+14155550100", "+14155550101"),
        profile="support",
        occurred_at=datetime(2026, 11, 22, 12, tzinfo=UTC),
        source="billing",
        metadata={"customer": "42"},
        force=True,
    )
    assert only(write(json.dumps(to_wire(event)))) == event


def test_a_json_row_without_an_id_gets_one_from_what_it_says(write: Write) -> None:
    path = write('{"a": 1, "number": "1", "b": 2}\n{"b": 2, "a": 1, "number": "1"}\n{"number": "1", "a": 12}\n')
    first, second, third = events(read_rows(path, number_column="number"))
    assert first.event_id == second.event_id != third.event_id


@pytest.mark.parametrize(
    ("row", "code", "said"),
    [
        ('{"number": ', "invalid_event", "the row is not JSON"),
        ('{"number": 1}' + "}", "invalid_event", "the row is not JSON: Extra data"),
        ("[1]", "invalid_event", "the row is not a JSON object"),
        ("{}", "invalid_number", "the row has no number"),
        ('{"number": " "}', "invalid_number", "the row has no number"),
        ('{"number": 14155550100}', "invalid_event", "number: must be text in quotes"),
        ('{"number": "1", "customer": {"a": 1}}', "invalid_event", "metadata.customer: must be text"),
        ('{"number": "1", "metadata": 7}', "invalid_event", "metadata: must be an object"),
        ('{"number": "1", "x": ' + "9" * 5000 + "}", "invalid_event", "a number is too long"),
        ('{"number": "1", "x": ' + "[" * 30_000 + "}", "invalid_event", "the nesting too deep"),
        ('{"number": "1", "x": "' + "x" * MAX_ROW + '"}', "invalid_event", "the row is longer than"),
        ('{"number": "1", "x": "\0"}', "invalid_event", "the row contains a NUL byte"),
    ],
)
def test_a_bad_json_row_is_refused_and_the_rest_goes_on(write: Write, row: str, code: str, said: str) -> None:
    path = write('{"number": "10"}\n' + row + '\n{"number": "11"}\n')
    ((line, found, message),) = refusals(path)
    assert (line, found, said in message) == (2, code, True), message
    assert numbers(path) == ["10", "11"]


# Files that are of no use


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b" \n\n", "is empty"),
        (b"\xef\xbb\xbf", "is empty"),
        (b"number,profile\n", "has a first line that names the columns, and no rows below it"),
        (b"number\n\n , \n", "no rows below it"),
        (b"phone,name\n1,x\n", 'has no column "number" in its first line, which names the columns. '),
        (b"phone,name\n1,x\n", 'There are "phone", "name"; name the one that has it with --number-column'),
        (b"number,Number\n1,2\n", 'has two columns "Number"'),
        (b'[{"number": "1"}]', "is a JSON array; write one object a line instead"),
        (b"PK\x03\x04rest", "is a spreadsheet or an archive"),
        (b"\xd0\xcf\x11\xe0rest", "is a spreadsheet"),
        (b"\x1f\x8brest", "is compressed"),
        ("number\n1\n".encode("utf-16-le"), "has a first line that contains a NUL byte"),
        (b"number,\xff\n1,x\n", "has a first line that is not UTF-8; it must name the columns"),
        (b"number," + b"x" * MAX_ROW + b"\n1,x\n", "has a first line that is longer than"),
        (b'number,"x\n1,x\n', "has a first line that has a quote that does not close"),
    ],
)
def test_a_file_of_no_use_is_one_clear_error(write: Write, content: bytes, said: str) -> None:
    path = write(content)
    with pytest.raises(BadFile) as error:
        list(read_rows(path))
    assert said in str(error.value)
    assert str(error.value).startswith(str(path))


def test_a_number_column_that_is_not_there_is_an_error_with_the_nearest_name(write: Write) -> None:
    with pytest.raises(BadFile, match=r'has no column "phone_nr".*did you mean "phone_no"'):
        list(read_rows(write("number,phone_no\n1,2\n"), number_column="phone_nr"))


def test_a_missing_file_a_folder_and_an_impossible_name_are_errors_that_say_so(tmp_path: Path) -> None:
    for path, said in [
        (tmp_path / "none.csv", "there is no such file"),
        (tmp_path, "it is a folder; name a file"),
        (tmp_path / "a\0b", "is no name that a file can have"),
    ]:
        with pytest.raises(BadFile, match=said):
            list(read_rows(path))


def test_a_dash_reads_standard_input_and_leaves_it_open(monkeypatch: pytest.MonkeyPatch) -> None:
    stdin = io.TextIOWrapper(io.BytesIO(b"number\n1\n2\n"))
    monkeypatch.setattr(sys, "stdin", stdin)
    assert numbers(Path("-")) == ["1", "2"]
    assert not stdin.buffer.closed


def test_nothing_at_all_on_standard_input_is_an_error_that_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO()))
    with pytest.raises(BadFile, match="standard input is empty"):
        list(read_rows(Path("-")))


# Size


def test_memory_stays_constant_however_long_the_file(tmp_path: Path) -> None:
    path = tmp_path / "long.csv"
    with path.open("w") as file:
        file.write("number,customer\n")
        file.writelines(f"+1415{n:07d},{n}\n" for n in range(200_000))
    rows = read_rows(path)
    first = next(rows)
    tracemalloc.start()
    try:
        later = next(row for row in rows if row.line == 20_001)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        rows.close()  # type: ignore[attr-defined]  # it is a generator
    assert peak < 1_000_000
    assert 0 < first.at_byte < later.at_byte < path.stat().st_size


def test_a_line_that_never_ends_is_read_in_constant_memory(tmp_path: Path) -> None:
    path = tmp_path / "wide.csv"
    with path.open("w") as file:
        file.write("number,note\n1,a\n")
        for _ in range(200):
            file.write("x" * 100_000)
        file.write("\n2,b\n")
    tracemalloc.start()
    try:
        rows = list(read_rows(path))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert [row.line for row in rows if row.event] == [2, 4]
    assert [row.line for row in rows if row.refusal] == [3]
    assert peak < 4_000_000
    assert rows[-1].at_byte == path.stat().st_size


# Whatever the file


HEADS = st.sampled_from(
    [b"", b"number\n", b"number,note\n", b'{"number": "1"}\n', b"\xff\xfe", b"\xef\xbb\xbfnumber;a\n"]
)
PIECES = st.lists(
    st.one_of(
        st.binary(max_size=8),
        st.sampled_from(
            [b'"', b'""', b",", b"\n", b"\r", b"\r\n", b"1", b"\x00", b"\xff", b"{", b"}", b'{"number":"2"}\n']
        ),
    ),
    max_size=40,
).map(b"".join)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=examples(300))
@given(
    head=HEADS,
    body=PIECES,
    number_column=st.sampled_from([None, "number", "note"]),
    suffix=st.sampled_from(["csv", "jsonl"]),
)
def test_any_bytes_are_rows_or_a_bad_file(
    tmp_path: Path, head: bytes, body: bytes, number_column: str | None, suffix: str
) -> None:
    path = tmp_path / f"any.{suffix}"
    path.write_bytes(head + body)
    lines = [0]
    with suppress(BadFile):
        for row in read_rows(path, number_column=number_column):
            assert (row.event is None) != (row.refusal is None)
            assert row.line > lines[-1]
            lines.append(row.line)


CELL = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0\r"), max_size=12)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=examples(150))
@given(
    cells=st.lists(st.tuples(CELL.filter(str.strip), CELL, CELL), min_size=1, max_size=8),
    delimiter=st.sampled_from(",;\t|"),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
)
def test_what_a_csv_writer_wrote_is_read_back(
    tmp_path: Path, cells: list[tuple[str, str, str]], delimiter: str, encoding: str
) -> None:
    path = tmp_path / "written.csv"
    with path.open("w", encoding=encoding, newline="") as file:
        writer = csv.writer(file, delimiter=delimiter, quoting=csv.QUOTE_ALL)
        writer.writerows([("number", "a", "b"), *cells])
    rows = list(read_rows(path))
    assert [row.event and (row.event.numbers, dict(row.event.metadata)) for row in rows] == [
        ((number.strip(),), {key: text.strip() for key, text in (("a", a), ("b", b)) if text.strip()})
        for number, a, b in cells
    ]


def test_every_field_can_be_in_a_column_of_another_name(write: Write) -> None:
    text = "Order ID,Team,Telefon,profile\nA-17,sales,+14155550100,gold\n"
    event = only(write(text), columns={"event_id": "order id", "profile": "Team", "number": " TELEFON "})
    assert (event.event_id, event.profile, event.numbers) == ("A-17", "sales", ("+14155550100",))
    assert event.metadata == {"profile": "gold"}  # what its own column no longer is


def test_a_column_that_is_named_for_a_field_and_not_there_is_an_error(write: Write) -> None:
    with pytest.raises(BadFile, match=r'no column "order no".*did you mean "Order Nr"'):
        list(read_rows(write("number,Order Nr\n1,2\n"), columns={"event_id": "Order No"}))
    with pytest.raises(BadFile, match="no field"):
        list(read_rows(write("number\n1\n"), columns={"colour": "number"}))
