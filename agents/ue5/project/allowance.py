"""The lines by which an Unreal project lets the bridge call its functions, and nothing else."""

from __future__ import annotations

from agents.ue5.functions import Function


def allowance(function: Function) -> str:
    """The line of Config/DefaultRemoteControl.ini that allows one function.

    Format: FRCAllowedRemoteFunctionCall of Unreal 5.8. Its FunctionName is an optional string, which Unreal reads in brackets; without
    them it would drop the name, or the line. Actors are of many classes, hence the children of theirs.
    """
    children = "False" if function.static else "True"
    return (
        f'+CustomAllowedRemoteFunctionCalls=(ClassPath="{function.owner}",FunctionName=("{function.name}"),bAllowChildClasses={children})'
    )
