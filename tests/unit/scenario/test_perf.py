from __future__ import annotations

import pytest

from matrix.scenario import perf


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("tools/perf/builtin-stat.c", True),
        ("tools/perf/arch/x86/util/pmu.c", True),
        ("tools/perf/util/evsel.h", False),
        ("tools/perf/Makefile.perf", False),
        ("tools/perf/pmu-events/empty-pmu-events.c", False),
        ("tools/perf/util/bpf_skel/off_cpu.bpf.c", False),
        ("tools/perf/util/bpf_skel/vmlinux/vmlinux.c", False),
        ("tools/perf/examples/x.bpf.c", False),
        ("tools/perf/tests/shell/coresight/x.c", False),
        ("tools/build/feature/test-bpf.c", False),
        ("tools/lib/bpf/libbpf.c", False),
        ("kernel/fork.c", False),
    ],
)
def test_a_source_is_what_a_compiler_of_perf_alone_reads(path: str, *, source: bool) -> None:
    assert perf.is_source(path) is source


@pytest.mark.parametrize(
    ("argv", "runs", "writes"),
    [
        (("python3", "pmu-events/jevents.py", "x86", "all", "/out/pmu-events/pmu-events.c"), True, True),
        (("/usr/bin/python3", "-B", "/src/tools/perf/pmu-events/jevents.py", "x86"), True, False),
        (("python3", "jevents.py", "none", "none", "/out/pmu-events/test-empty-pmu-events.c"), True, False),
        (("python3", "-c", "from multiprocessing.spawn import spawn_main"), False, False),
        ((), False, False),
    ],
)
def test_the_generator_is_known_by_its_command_line(argv: tuple[str, ...], *, runs: bool, writes: bool) -> None:
    assert perf.is_generator(argv) is runs
    assert perf.writes_tables(argv) is writes


def test_a_generator_with_a_pool_says_so_in_its_text() -> None:
    assert perf.has_pool(b"with concurrent.futures.ProcessPoolExecutor() as pool:")
    assert not perf.has_pool(b"for arch in archs:")


def test_the_compact_tables_are_those_that_the_generated_source_declares() -> None:
    source = b"""static const struct compact_pmu_event pmu_events__test_soc_cpu[] = {
const struct compact_pmu_event pmu_metrics__x86[] = {
const struct pmu_table_entry pmu_events__other[] = {
 static const struct compact_pmu_event pmu_events__indented[] = {
static const struct compact_pmu_event pmu_events__test_soc_cpu[] = {
"""
    assert perf.compact_tables(source) == ("pmu_events__test_soc_cpu", "pmu_metrics__x86")


def test_the_event_tables_have_symbols_and_objects_of_their_own() -> None:
    tables = ["pmu_events__x", "pmu_metrics__x", "big_c_string"]
    assert [name for name in (*tables, "pmu_table", "main") if perf.is_table_symbol(name)] == tables
    objects = ("/out/pmu-events/pmu-events.o", "pmu-events-string.o", "/out/pmu-events/pmu-events-in.o")
    assert [perf.is_table_object(path) for path in objects] == [True, True, False]


@pytest.mark.parametrize(
    ("path", "test"),
    [
        ("/src/tools/build/feature/test-libelf.c", "test-libelf"),
        ("/out/feature/test-libelf-zstd.make.output", "test-libelf-zstd"),
        ("/out/feature/test-libelf.bin", "test-libelf"),
        ("/out/feature/test-libelf.o", ""),
        ("/out/util/test-libelf.c", ""),
    ],
)
def test_a_file_of_a_feature_test_names_it(path: str, test: str) -> None:
    assert perf.feature_test(path) == test


def test_a_feature_tests_command_line_names_its_target_and_its_inputs() -> None:
    assert perf.feature_target("/out/feature/test-libelf.bin") == "test-libelf"
    assert perf.feature_target("gcc -o test-libelf.bin") == ""
    assert perf.feature_target("latest-libelf.bin") == ""
    assert perf.feature_inputs("gcc -MD -o x test-libelf.c > test-all.make.output") == ["test-libelf", "test-all"]
    assert perf.feature_inputs("test-libelf-zstd.c") == ["test-libelf-zstd"]
    assert perf.feature_inputs("latest-libelf.c") == []
    assert perf.is_feature_test("/out/feature/test-all.bin")
    assert not perf.is_feature_test("/out/util/test-all.bin")


def test_a_skeleton_of_the_bootstrapped_bpftool_is_none_of_perf() -> None:
    assert perf.is_skeleton("/out/util/bpf_skel/off_cpu.skel.h")
    assert not perf.is_skeleton("/out/util/bpf_skel/.tmp/bootstrap/pid_iter.skel.h")


@pytest.mark.parametrize(
    "source",
    [
        b"".join(
            b"const struct compact_pmu_event pmu_events__%d[] = {\n" % number for number in range(perf.MOST_TABLES + 1)
        ),
        b"const struct compact_pmu_event pmu_events__%s[] = {\n" % (b"a" * perf.TABLE_NAME_BYTES),
    ],
)
def test_a_source_with_too_many_tables_or_too_long_names_is_refused(source: bytes) -> None:
    with pytest.raises(ValueError, match=r"pmu-events\.c has more than 10000 compact tables, or a name of more than"):
        perf.compact_tables(source)
