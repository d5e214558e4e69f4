# mujoco 3.17 ships no type stubs and fills its namespace from compiled modules: every attribute is Any.
from typing import Any

def __getattr__(name: str) -> Any: ...
