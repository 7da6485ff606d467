"""Layer 6: machine code for graphs. `codegen.build.build` turns a graph into a `Program`; `codegen.llvm.available` says if it can."""
