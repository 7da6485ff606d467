"""Layer 5: programs as graphs of primitives: capture, verification, passes, and the interpreter that defines what a graph means."""
