"""An agent's environment of its own: `.venvs/NAME`, made from `agents/NAME/requirements.lock` by the agent's supervisor."""
