"""A scheduler of a launched sweep, made as W&B's public Optuna scheduler is: a job that asks Optuna for each run."""

import base64
from typing import Any

import optuna
import wandb
from wandb.sdk.launch.sweeps.scheduler import Scheduler, SweepRun
from wandb.sdk.lib.runid import generate_id

try:
    from wandb.sdk.launch.api import LaunchApi as Api
except ImportError:
    from wandb.apis.internal import Api


class OptunaScheduler(Scheduler):  # type: ignore[misc]
    """Asks for a trial where a worker is free, and tells its outcome when its run has ended."""

    def _get_next_sweep_run(self, worker_id: int) -> Any:
        trial = self._study.ask()
        low, high = (self._sweep_config["parameters"]["lr"][key] for key in ("min", "max"))
        values = {"lr": {"value": trial.suggest_float("lr", low, high)}}
        run = SweepRun(id=self._announced(values), args=values, worker_id=worker_id)
        self._trials[run.id] = trial
        return run

    def _announced(self, values: dict[str, Any]) -> str:
        """Make the run, as the clients that can do so."""
        if not hasattr(self._api, "upsert_run"):
            return str(generate_id())
        where = {"project": self._project, "entity": self._entity, "sweep_name": self._sweep_id}
        made, *_ = self._api.upsert_run(config=values, **where)
        return base64.b64decode(made["id"]).decode().split(":")[2]

    def _poll(self) -> None:
        for name in [name for name in self._trials if name not in self._runs]:
            run = wandb.Api().run(f"{self._entity}/{self._project}/{name}")
            self._study.tell(self._trials.pop(name), run.summary["lr"])

    def _load_state(self) -> None:
        self._study = optuna.create_study()
        self._trials: dict[str, Any] = {}

    def _save_state(self) -> None:
        self._wandb_run.summary["best"] = self._study.best_value

    def _exit(self) -> None:
        pass


if __name__ == "__main__":
    config = dict(wandb.init().config)
    arguments = {**config["sweep_args"], "polling_sleep": 1}
    OptunaScheduler(Api(), **arguments).start()
