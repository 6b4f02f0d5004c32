"""The list of tasks, for programs."""

from __future__ import annotations

import json

from tests.support.commands import done


def test_tasks_as_json_have_what_the_list_has() -> None:
    tasks = {task["name"]: task for task in json.loads(done("tasks", "--json").stdout)}
    assert tasks["reacher"]["models"] == ["sen", "full", "none"]
    assert tasks["reacher"]["splits"]["eval"] == {
        "episodes": 1000,
        "steps": 10,
        "purpose": "evaluation, with twins",
        "twins": True,
        "negatives": False,
    }
    assert tasks["teapot-large"]["world_options"] == {"actions": "large"}
    assert tasks["teapot-large"]["symmetric_models"] == ["matmul", "tfn"]
    assert tasks["teapot-large"]["models"] == ["matmul", "tfn", "none", "vae"]
    assert tasks["teapot-large"]["models_on_request"] == ["vae"]
    assert "models  matmul, tfn, none; if named: vae\n" in done("tasks").stdout
