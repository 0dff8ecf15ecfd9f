"""What the files of the generated Unreal project say.

Sources: Epic's "Remote Control Quick Start", "Configuration Files" and "Project Descriptor Files" for Unreal Engine 5; the settings' names
are those of URemoteControlSettings, which is config=RemoteControl: in DefaultEngine.ini they would do nothing.
"""

from __future__ import annotations

import msgspec

from agents.parts.remote_control import HTTP_PORT, WEBSOCKET_PORT
from agents.ue5.functions import FUNCTIONS
from agents.ue5.project.allowance import allowance

ENGINE = "5.6"
"""The version that the project is for until somebody switches it; the first one that brings LiveLinkOpenTrackIO."""
NAME = "Wondercraft"

_PLUGINS = (
    {"Name": "RemoteControl", "Enabled": True},
    {"Name": "LiveLink", "Enabled": True},
    {"Name": "LiveLinkOpenTrackIO", "Enabled": True, "Optional": True},
)
_ENGINE_INI = """\
[/Script/EngineSettings.GameMapsSettings]
EditorStartupMap=/Engine/Maps/Templates/Template_Default

[ConsoleVariables]
WebControl.EnableServerOnStartup=1

[HTTPServer.Listeners]
DefaultBindAddress=localhost
"""
_EDITOR_SETTINGS_INI = """\
[/Script/UnrealEd.EditorPerformanceSettings]
bThrottleCPUWhenNotForeground=False
"""
_REMOTE_CONTROL_INI = f"""\
[/Script/RemoteControlCommon.RemoteControlSettings]
bAutoStartWebServer=True
bAutoStartWebSocketServer=True
RemoteControlHttpServerPort={HTTP_PORT}
RemoteControlWebSocketServerPort={WEBSOCKET_PORT}
; Unreal's own default is every address of the machine
RemoteControlWebsocketServerBindAddress=127.0.0.1
; pages in a browser may not ask; a client that is no browser names no origin
bRestrictServerAccess=True
AllowedOrigin="http://127.0.0.1"
bEnforcePassphraseForRemoteClients=True
bEnableRemotePythonExecution=False
bAllowConsoleCommandRemoteExecution=False
bAllowAnyRemoteFunctionCall=False
"""
_README = f"""\
# {NAME}

An Unreal project that zeropoint-bus can drive. It has no content of its own: it starts with Unreal's basic level, and Remote Control on.

1. Open `{NAME}.uproject`. It names Unreal {ENGINE}; for another version (5.3 to 5.8) change `EngineAssociation` in it, or use
   *Switch Unreal Engine version* of the file's menu. From a terminal: `UnrealEditor /path/to/{NAME}.uproject`.
2. `bus call ue5.status` names the engine some seconds after the level is there; `bus call ue5.preflight` says what is still missing.
3. If it draws about 3 frames a second: this editor was set up before, and its own settings count more than the project's. Turn off
   *Editor Preferences > General > Performance > Use Less CPU when in Background*.

| file | what |
|---|---|
| `Config/DefaultRemoteControl.ini` | the servers, on loopback, and the only functions that may be called |
| `Config/DefaultEngine.ini` | the level, and that the servers start with the editor |
| `Config/DefaultEditorSettings.ini` | an editor that nobody looks at keeps drawing |

`bus call ue5.project` writes these files again. One that you have changed stays, and what it would be now lies beside it as `NAME.new`.
"""


def contents() -> dict[str, str]:
    """Each file of the project by its path in it."""
    return {
        f"{NAME}.uproject": _descriptor(),
        "Config/DefaultEngine.ini": _ENGINE_INI,
        "Config/DefaultRemoteControl.ini": _REMOTE_CONTROL_INI + "".join(f"{allowance(function)}\n" for function in FUNCTIONS),
        "Config/DefaultEditorSettings.ini": _EDITOR_SETTINGS_INI,
        "README.md": _README,
    }


def _descriptor() -> str:
    project = {
        "FileVersion": 3,
        "EngineAssociation": ENGINE,
        "Category": "",
        "Description": "A level that zeropoint-bus drives through Remote Control",
        "Plugins": _PLUGINS,
    }
    return msgspec.json.format(msgspec.json.encode(project), indent=4).decode() + "\n"
