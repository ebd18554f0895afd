"""Finds the registries of the product in its source: module-level variables that other modules fill while they load.

A *filler* is a public function that changes a variable of its own module: a method such as `append`, an item set, or an
assignment after `global`. The function may have any name. It may also leave the change to other functions of its
module. A filler is a registry's if another module calls it, or decorates something with it, while that module is
imported or in the `ready` method of its app. Caches and counters are no registries: they are changed later. Found as
well: classes that record their subclasses (`__init_subclass__`), and modules that change another module's variable
directly.
"""

import ast
from collections.abc import Iterator, Mapping

Modules = Mapping[str, ast.Module]
Function = ast.FunctionDef | ast.AsyncFunctionDef

CHANGES = {"add", "append", "appendleft", "extend", "insert", "setdefault", "update"}


def registries(modules: Modules) -> set[str]:
    """The dotted names of all fillers, and of classes that record their subclasses."""
    fillers = {f"{module}.{name}" for module, tree in modules.items() for name in _fillers(tree)}
    called = {name for module, tree in modules.items() for name in _used_at_start(module, tree)}
    return (fillers & called) | {f"{module}.{name}" for module, tree in modules.items() for name in _parents(tree)}


def changed_from_outside(modules: Modules) -> set[str]:
    """`changing module: variable` for each variable that another module changes without a function."""
    found = set()
    for module, tree in modules.items():
        names = _imports(tree)
        for target in _changed(tree):
            variable = _dotted(target, names)
            if variable and variable.rpartition(".")[0] in modules:
                found.add(f"{module}: {variable}")
    return found


def _fillers(tree: ast.Module) -> set[str]:
    functions = {node.name: node for node in tree.body if isinstance(node, Function)}
    variables = {name.id for node in tree.body for name in _targets(node) if isinstance(name, ast.Name)}
    changing = {name for name, node in functions.items() if _variables_changed(node) & variables}
    while callers := {name for name, node in functions.items() if _names(node) & changing} - changing:
        changing |= callers
    return changing


def _variables_changed(function: Function) -> set[str]:
    assigned = {name for node in ast.walk(function) if isinstance(node, ast.Global) for name in node.names}
    rebound = {name.id for node in ast.walk(function) for name in _targets(node) if isinstance(name, ast.Name)}
    return (assigned & rebound) | {_root(target) for target in _changed(function)}


def _changed(tree: ast.AST) -> Iterator[ast.expr]:
    """What is changed in place: `x` in `x.append(1)`, `x[1] = 2` and `x[1] += 2`, `x.y` in `x.y = 1`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in CHANGES:
            yield node.func.value
        for target in _targets(node):
            if isinstance(target, ast.Subscript):
                yield target.value
            elif isinstance(target, ast.Attribute):
                yield target


def _targets(node: ast.AST) -> list[ast.expr]:
    if isinstance(node, ast.Assign):
        return [part for each in node.targets for part in (each.elts if isinstance(each, ast.Tuple) else [each])]
    return [node.target] if isinstance(node, ast.AnnAssign | ast.AugAssign) else []


def _root(node: ast.expr) -> str:
    """`x` of `x`, `x.y` and `x[1].setdefault(2, [])`."""
    while isinstance(node, ast.Attribute | ast.Subscript | ast.Call):
        node = node.func if isinstance(node, ast.Call) else node.value
    return node.id if isinstance(node, ast.Name) else ""


def _names(tree: ast.AST) -> set[str]:
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}


def _parents(tree: ast.Module) -> set[str]:
    """Classes that record their subclasses."""
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    return {
        each.name
        for each in classes
        if any(isinstance(node, ast.FunctionDef) and node.name == "__init_subclass__" for node in each.body)
    }


def _used_at_start(module: str, tree: ast.Module) -> set[str]:
    """The dotted names that the module uses while it is imported or in `ready`, without names of its own."""
    names = _imports(tree)
    functions = {node.name: node for node in tree.body if isinstance(node, Function)}
    used, seen = set(), set()
    waiting: list[ast.AST] = [tree]
    while waiting:
        for node in _run_at_once(waiting.pop()):
            used.add(_dotted(node, names))
            if isinstance(node, ast.Name) and node.id in functions and node.id not in seen:
                seen.add(node.id)
                waiting.append(functions[node.id])
    return {name for name in used if not name.startswith(f"{module}.")}


def _run_at_once(tree: ast.AST) -> Iterator[ast.AST]:
    """The nodes that run with the tree: no bodies of functions, except that of an app's `ready`."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, Function) and node.name != "ready":
            for decorator in node.decorator_list:
                yield decorator
                yield from _run_at_once(decorator)
        elif not isinstance(node, ast.Lambda):
            yield node
            yield from _run_at_once(node)


def _imports(tree: ast.Module) -> dict[str, str]:
    """What each imported name means: a module, or something in a module."""
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names |= {each.asname or each.name: f"{node.module}.{each.name}" for each in node.names}
        elif isinstance(node, ast.Import):
            names |= {each.asname or each.name.partition(".")[0]: each.name for each in node.names if each.asname}
            names |= {first: first for each in node.names if not each.asname for first in [each.name.partition(".")[0]]}
    return names


def _dotted(node: ast.AST, names: Mapping[str, str]) -> str:
    """The full name of `name` or `module.name`; empty if it was not imported."""
    if isinstance(node, ast.Name):
        return names.get(node.id, "")
    if isinstance(node, ast.Attribute):
        before = _dotted(node.value, names)
        return f"{before}.{node.attr}" if before else ""
    return ""
