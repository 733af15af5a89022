"""OpenQASM 3 in native gates, read without Qiskit: what comes out is what was written, and refusals name the line."""

from __future__ import annotations

import math
import subprocess
import sys

import pytest
from qiskit import qasm3

from qubitd.client import BackendInfo, Limits, ProgramError
from qubitd.client.qasm3 import read_qasm3
from qubitd.compiler.device_file import load_device
from qubitd.core.control import Condition
from qubitd.wire.backends import backend_info


@pytest.fixture(scope="module")
def line5() -> BackendInfo:
    file = load_device("line5")
    limits = Limits(max_shots=1, max_circuits=1, max_total_shots=1, max_job_bytes=1)
    return backend_info(
        file.device, file.snapshot(), limits=limits, operational=True, simulated=True, server_version="1"
    )


def written(text: str, line5: BackendInfo) -> list[tuple[str, tuple[int, ...], tuple[float, ...], tuple[int, ...]]]:
    circuit = read_qasm3(text, line5)
    return [(i.name, i.qubits, tuple(map(float, i.params)), i.clbits or i.controls) for i in circuit]  # type: ignore[arg-type]  # no FromColumn here


def test_declarations_gates_delays_and_measurements_are_read(line5: BackendInfo) -> None:
    text = """
    OPENQASM 3.0;
    include "stdgates.inc";
    const float half = pi / 2;
    qubit[2] q;
    qubit r;
    bit[2] c;
    bit d;
    rz(-half + sin(0) * 3) q[0];
    sx q;
    cz q[1], r;
    barrier q;
    delay[100ns] q[-1];
    delay[2 * 8dt] r;
    x $4;
    reset q[0:1];
    c = measure q;
    d = measure r;
    """
    assert written(text, line5) == [
        ("rz", (0,), (-math.pi / 2,), ()),
        ("sx", (0,), (), ()),
        ("sx", (1,), (), ()),
        ("cz", (1, 2), (), ()),
        ("barrier", (0, 1), (), ()),
        ("delay", (1,), (100 * 1e-9,), ()),
        ("delay", (2,), (8e-9 * 2,), ()),
        ("x", (4,), (), ()),
        ("reset", (0,), (), ()),
        ("reset", (1,), (), ()),
        ("measure", (0,), (), (0,)),
        ("measure", (1,), (), (1,)),
        ("measure", (2,), (), (2,)),
    ]
    assert read_qasm3(text, line5).num_clbits == 3


def test_conditions_become_truth_tables(line5: BackendInfo) -> None:
    text = """
    qubit[2] q; bit[2] c; bit d = measure q[0];
    if (c == 2) { x q[0]; } else { sx q[0]; }
    if (!c[1] && (d || c[0] ^ true)) x q[1];
    while (int(d) >= 1) { d = measure q[1]; if (c[0]) break; continue; }
    """
    circuit = read_qasm3(text, line5, most=7)
    first, second, third, fourth = circuit.conditions
    assert first == Condition(clbits=(0, 1), truth=0b0100, text="c == 2")
    assert [second.holds(v) for v in range(8)] == [not v & 2 and bool(v & 4 or not v & 1) for v in range(8)]
    assert (third.clbits, third.truth) == ((2,), 0b10)
    assert (fourth.clbits, fourth.truth) == ((0,), 0b10)
    brackets = [(i.name, i.controls) for i in circuit if i.name in ("if", "else", "while", "end", "break", "continue")]
    assert brackets == [
        ("if", (0,)),
        ("else", ()),
        ("end", ()),
        ("if", (1,)),
        ("end", ()),
        ("while", (2, 7)),
        ("if", (3,)),
        ("break", ()),
        ("end", ()),
        ("continue", ()),
        ("end", ()),
    ]


def test_a_loop_is_written_out_only_if_its_variable_is_used(line5: BackendInfo) -> None:
    text = "qubit q; for int i in [0:2] { rz(i * 0.5) q; } for int j in {3, 1} { sx q; } for int k in [4:-2:0] x $k;"
    text = text.replace(" for int k in [4:-2:0] x $k;", " for int k in [4:-2:0] { rz(k) q; }")
    assert written(text, line5) == [
        *(("rz", (0,), (angle,), ()) for angle in (0.0, 0.5, 1.0)),
        ("for", (), (), (2,)),
        ("sx", (0,), (), ()),
        ("end", (), (), ()),
        *(("rz", (0,), (angle,), ()) for angle in (4.0, 2.0, 0.0)),
    ]


def test_a_loop_that_is_written_out_is_left_as_it_would_be(line5: BackendInfo) -> None:
    kinds = {"break": "for int i in [0:1] { rz(i) q; if (c) { break; } }"}
    kinds["continue"] = kinds["break"].replace("break", "continue")
    turn = [("rz", ()), ("if", (0,)), ("WAY OUT", ()), ("end", ())]
    once, end = ("for", (1,)), ("end", ())
    for way, expected in (("break", [once, *turn, *turn, end]), ("continue", [once, *turn, end, once, *turn, end])):
        text = f"qubit q; bit c; for int bit_count in [0:4] {{ {kinds[way]} x q; }}"
        found = [(i.name, i.controls) for i in read_qasm3(text, line5)]
        inside = [(name.replace("WAY OUT", way), controls) for name, controls in expected]
        assert found == [("for", (5,)), *inside, ("x", ()), ("end", ())]


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("h q[0];", "applies h; line5 has cz, id, "),
        ("rz q[0];", "gives rz 0 angles and 1 qubits; it takes 1 and 1"),
        ("ctrl @ x q[0], q[1];", "changes x by a modifier"),
        ("x p;", "names p, which is no qubit register"),
        ("x q[2];", r"names q\[2\]; q has 2 places, from 0"),
        ("cz q, r;", "acts on registers of different lengths"),
        ("qubit[9] z;", "declares qubits 0 to 13; line5 has 5"),
        ("c = measure q[0];", "measures 1 qubits into 2 bits"),
        ("c[5] = measure q[0];", r"names c\[5\]; c has 2 places"),
        ("rz(c) q[0];", "holds a classical bit where a constant is needed"),
        ("rz(1 / 0) q[0];", "holds 1 / 0, which has no value"),
        ("rz(theta) q[0];", "holds the name theta, which means nothing here"),
        ("int i = 3;", "`int i = 3` is not read here; Qiskit may translate it"),
        ("gate g a { x a; }", "`gate g a` is not read here"),
        ("switch (c[0]) { case 0 { x q[0]; } }", r"`switch \(c\[0\]\)` is not read here"),
        (f"let {'a' * 80} = q;", f"`let {'a' * 56}...` is not read here"),
        ("pragma lab of mine", "`pragma lab of mine` is not read here"),
        ("@mine\nx q[0];", "`@mine` is not read here; leave it out"),
        ("measure q[0];", r"measures into no bit; name one, as in `c\[0\] = measure q\[0\];`"),
        ("cz q[1], q[1];", "applies cz to qubit 1 twice"),
        ("cz q[0], r[0];", "applies cz to qubits 0 and 2; line5 couples 0-1, 1-2, 2-3, 3-4. Transpile it with Qiskit"),
        ('bit[1] b = "0";', "gives a bit a first value"),
        ("if (true) x q[0];", "holds a condition on 0 classical bits; 1 to 10 are possible"),
        ("for int i in c { x q[0]; }", "runs over something that is neither a range nor a set"),
        ("for int i in [0:0:3] { x q[0]; }", "holds a range with step 0"),
        ("for int i in [0:2000000] { rz(i) q[0]; }", "is beyond 1000000 operations with loops written out"),
        ("delay[3] q[0];", "holds no duration such as 100ns"),
        ("if (c[0:1] == 1) x q[0];", "holds a range of c"),
        ("if (c[4]) x q[0];", "holds bit 4 of c, which has 2"),
        ("while (c[0]) { x q[0]; }", r"repeats without a bound; say read_qasm3\(\.\.\., most=n\)"),
        ("const int n = 3.7;", "holds 3.7 where a whole number is needed"),
        ("x $9;", r"names \$9; line5 has 5 qubits, from \$0"),
        ("x q[0.5];", "holds 0.5 where a whole number is needed"),
        ("x q[1e400];", "holds inf where a whole number is needed"),
        ("qubit[-1] z;", "declares z with -1 places; a register has 1 at least"),
        ("bit[1000000000] z;", "declares 1000000002 bits in all; 65536 are possible"),
        ("bit[1] c;", "declares c once more"),
        ("bit[1] q;", "declares q once more"),
        ("rz(9 ** 999999999) q[0];", r"holds 9 \*\* 999999999, which does not fit 64 bits"),
        ("rz(1 << 999999999999) q[0];", "holds 1 << 999999999999, which does not fit 64 bits"),
        ("rz((-1) ** 0.5) q[0];", r"holds -1 \*\* 0.5, which has no value"),
        ("rz(sqrt(-1)) q[0];", r"holds sqrt\(-1\), which has no value"),
        ("rz(sin(1, 2)) q[0];", r"holds sin\(1, 2\), which has no value"),
        (
            "for int i in [0:1] { rz(i) q[0]; if (c[0]) { break; } if (c[1]) { continue; } }",
            "uses i and both break and continue",
        ),
    ],
)
def test_what_is_not_read_is_refused_by_line(line5: BackendInfo, line: str, complaint: str) -> None:
    text = f"OPENQASM 3;\nqubit[2] q;\nqubit[3] r;\nbit[2] c;\n{line}\n"
    with pytest.raises(ProgramError, match=complaint) as refused:
        read_qasm3(text, line5)
    assert refused.value.problems[0].where == "program, line 5"


def test_expressions_mean_what_they_mean_to_the_other_reader(line5: BackendInfo) -> None:
    texts = ["3/2", "-7/2", "7/-2", "3.0/2", "pi*(7/2)", "pi/2+1", "2*3-8", "-pi/4"]
    text = "\n".join(["OPENQASM 3.0;", 'include "stdgates.inc";', "qubit q;", *(f"rz({t}) q;" for t in texts)])
    theirs = [float(step.operation.params[0]) for step in qasm3.loads(text).data]
    assert [angles[0] for _, _, angles, _ in written(text, line5)] == pytest.approx(theirs)


def test_what_a_number_is_decides_how_it_divides(line5: BackendInfo) -> None:
    text = (
        "qubit q; const float t = 1; const angle a = 3; const int n = 3; const bool b = 1;"
        "rz(t/2) q; rz(a/4) q; rz(n/2) q; rz(float(1)/2) q; rz(floor(7.5)/2) q; rz(int(2.7)) q; rz(bool(3)) q; rz(b) q;"
    )
    angles = [angles[0] for _, _, angles, _ in written(text, line5)]
    assert angles == pytest.approx([0.5, 0.75, 1.0, 0.5, 3.5, 2.0, 1.0, 1.0])


def test_the_line_of_what_cannot_be_read_is_told(line5: BackendInfo) -> None:
    with pytest.raises(ProgramError, match=r"^mine, line 2: cannot be read as OpenQASM 3 at 'q'$"):
        read_qasm3("qubit q;\nx q q;\n", line5, name="mine")


def test_what_is_no_program_is_refused(line5: BackendInfo) -> None:
    with pytest.raises(ProgramError, match=r"^mine, line 1: cannot be read as OpenQASM 3 at "):
        read_qasm3("qubit[2 q;", line5, name="mine")


def test_another_version_is_refused(line5: BackendInfo) -> None:
    with pytest.raises(ProgramError, match=r"program: is OpenQASM 2\.0; version 3 is read"):
        read_qasm3("OPENQASM 2.0;\nqreg q[1];", line5)
    assert read_qasm3("OPENQASM 3;\nqubit q;", line5).num_qubits == read_qasm3("qubit q;", line5).num_qubits


@pytest.mark.parametrize("deep", ["if (c) {" * 900 + "x q;" + "}" * 900, "rz(" + "(" * 900 + "1" + ")" * 900 + ") q;"])
def test_what_is_nested_too_deep_is_refused(line5: BackendInfo, deep: str) -> None:
    with pytest.raises(ProgramError, match="nested too deep to be read"):
        read_qasm3(f"qubit q; bit c;\n{deep}", line5)


def test_it_needs_no_qiskit() -> None:
    program = (
        "import sys; sys.modules['qiskit'] = None\n"
        "from qubitd.client.qasm3 import read_qasm3\n"
        "from qubitd.compiler.device_file import load_device\n"
        "from qubitd.wire.backends import Limits, backend_info\n"
        "file = load_device('line5')\n"
        "limits = Limits(max_shots=1, max_circuits=1, max_total_shots=1, max_job_bytes=1)\n"
        "info = backend_info(file.device, file.snapshot(), limits=limits, operational=True, simulated=True,"
        " server_version='')\n"
        "print(len(list(read_qasm3('qubit[2] q; bit c; sx q[0]; c = measure q[0];', info))))\n"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (run.stdout, run.stderr) == ("2\n", "")


@pytest.mark.parametrize("text", ["", "\n\n", "// only a remark\n"])
def test_a_text_without_a_statement_is_refused_and_is_no_fault_of_ours(text: str, line5: BackendInfo) -> None:
    with pytest.raises(ProgramError, match="holds no statement"):
        read_qasm3(text, line5)
