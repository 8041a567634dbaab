"""Trains a small neural network on scikit-learn's handwritten digits and writes it to model.joblib.

The configuration of the run comes from ``WANDB_CONFIG``, or in pieces from ``WANDB_CONFIG_0``, ``WANDB_CONFIG_1`` and
so on where it is too long for one variable: ``epochs``, ``hidden``, ``learning_rate``, ``batch_size`` and ``seed``.
"""

import json
import os
from collections.abc import Mapping
from itertools import count, takewhile
from typing import Any

import joblib
from sklearn.datasets import load_digits
from sklearn.metrics import accuracy_score, log_loss
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier

DEFAULTS = {"epochs": 8, "hidden": 64, "learning_rate": 0.002, "batch_size": 64, "seed": 0}


def read_config(environ: Mapping[str, str]) -> dict[str, Any]:
    """Return the run's configuration over the defaults."""
    names = takewhile(environ.__contains__, (f"WANDB_CONFIG_{number}" for number in count()))
    text = environ.get("WANDB_CONFIG") or "".join(environ[name] for name in names) or "{}"
    return DEFAULTS | json.loads(text)


def train(config: Mapping[str, Any]) -> MLPClassifier:
    """Return a network trained for ``epochs`` epochs, printing one line of metrics after each."""
    images, labels = load_digits(return_X_y=True)
    split = train_test_split(images / 16, labels, test_size=0.25, random_state=config["seed"], stratify=labels)
    train_images, test_images, train_labels, test_labels = split
    network = MLPClassifier(
        hidden_layer_sizes=(config["hidden"],),
        learning_rate_init=config["learning_rate"],
        batch_size=config["batch_size"],
        random_state=config["seed"],
    )
    for epoch in range(1, config["epochs"] + 1):
        network.partial_fit(train_images, train_labels, classes=range(10))
        loss = log_loss(test_labels, network.predict_proba(test_images))
        accuracy = accuracy_score(test_labels, network.predict(test_images))
        print(f"epoch {epoch:2d}  loss {loss:.4f}  accuracy {accuracy:.4f}", flush=True)
    return network


def main() -> None:
    """Train with the run's configuration and save the result."""
    config = read_config(os.environ)
    print(f"configuration {json.dumps(config)}", flush=True)
    joblib.dump(train(config), "model.joblib")
    print("wrote model.joblib")


if __name__ == "__main__":
    main()
