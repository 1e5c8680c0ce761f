"""How `tiny.pdmodel` and `tiny.pdiparams` were made: FLAGS_enable_pir_api=0 python export.py."""

from pathlib import Path

import paddle
from paddle.base.proto import framework_pb2


class Tiny(paddle.nn.Layer):
    """One map from a picture of any size, as text detection gives."""

    def __init__(self) -> None:
        super().__init__()
        self.mix = paddle.nn.Conv2D(3, 1, 1)

    def forward(self, x):
        return self.mix(x)


shape = paddle.static.InputSpec([-1, 3, -1, -1], "float32", "x")
paddle.jit.save(Tiny(), str(Path(__file__).with_name("tiny")), input_spec=[shape])

# Without the call stacks, which would tell where this was run.
program = framework_pb2.ProgramDesc()
model = Path(__file__).with_name("tiny.pdmodel")
program.ParseFromString(model.read_bytes())
for operator in program.blocks[0].ops:
    kept = [attribute for attribute in operator.attrs if attribute.name != "op_callstack"]
    del operator.attrs[:]
    operator.attrs.extend(kept)
model.write_bytes(program.SerializeToString())
