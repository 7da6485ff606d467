def write_matmul(node, target):
    node.kind = "python"
    from flambeau.primitives.prim import lookup

    node.prim = lookup("matmul")
    node.numbers = node.operands
    return [node]
