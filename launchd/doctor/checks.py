"""The list of all checks but that of the configuration, in the order in which they are shown."""

from launchd.doctor import buildah, configuration, credentials, engine, gpus, isolation, server, service, storage
from launchd.doctor.findings import Check

CHECKS = (
    Check("queue server", server.check_server, server.SILENCE, 20.0),
    Check("clock", server.check_clock, server.SILENCE, 10.0),
    Check("queues", server.check_queues, server.SILENCE, 20.0),
    Check("service", service.check_unit, ("systemd hangs.", "`systemctl status` says more."), needs_config=False),
    Check("agent", service.check_agent, service.AGENT_SILENCE, needs_config=False),
    Check("journal", service.check_journal, service.JOURNAL_SILENCE, needs_config=False),
    Check("users of jobs", isolation.check_users, isolation.USERS_SILENCE),
    Check("control groups", isolation.check_control_groups, ("The kernel hangs.", "Restart the host.")),
    Check("state directory", storage.check_state, storage.SILENCE, needs_config=False),
    Check("temporary directory", storage.check_temporary, storage.SILENCE, needs_config=False),
    Check("container engine", engine.check_engine, engine.SILENCE),
    Check("images", storage.check_images, storage.SILENCE),
    Check("daemon-reload", engine.check_daemon_reload, engine.SILENCE),
    Check("buildah", buildah.check_buildah, buildah.SILENCE),
    Check("GPUs", gpus.check_persistence, gpus.SILENCE, 15.0, needs_config=False),
    Check("registry", credentials.check_registry, credentials.SILENCE, credentials.SECONDS),
    Check("cloud", credentials.check_cloud, credentials.CLOUD_SILENCE, credentials.SECONDS),
    Check("kubernetes", credentials.check_cluster, credentials.CLUSTER_SILENCE, credentials.SECONDS),
    Check("extras", credentials.check_extras, ("The disk with the programs hangs.", "Look at `mount`.")),
)

CONFIGURATION = Check("configuration", lambda _host: (), configuration.SILENCE)
