BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0013');
CREATE TABLE api_keys (
	id INTEGER NOT NULL, 
	user_id INTEGER NOT NULL, 
	digest VARCHAR NOT NULL, 
	description VARCHAR NOT NULL, 
	created_at FLOAT NOT NULL, role INTEGER DEFAULT '3' NOT NULL, last_used_at FLOAT, 
	PRIMARY KEY (id), 
	FOREIGN KEY(user_id) REFERENCES users (id), 
	UNIQUE (digest)
);
INSERT INTO "api_keys" VALUES(1,1,'5ad3860499a06290631e87707ea0a0f4a41499d20d87f114364d0ced39224d34','admin',1.79591503603794622415e+09,3,1.79591503670842313764e+09);
CREATE TABLE artifact_aliases (
	id INTEGER NOT NULL, 
	collection_id INTEGER NOT NULL, 
	alias VARCHAR NOT NULL, 
	artifact_number INTEGER NOT NULL, 
	PRIMARY KEY (id), 
	FOREIGN KEY(artifact_number) REFERENCES artifacts (number), 
	FOREIGN KEY(collection_id) REFERENCES artifact_collections (id), 
	UNIQUE (collection_id, alias)
);
CREATE TABLE artifact_collections (
	id INTEGER NOT NULL, 
	project_id INTEGER NOT NULL, 
	type VARCHAR NOT NULL, 
	name VARCHAR NOT NULL, description TEXT, tags TEXT DEFAULT '[]' NOT NULL, created_at FLOAT, updated_at FLOAT, is_portfolio BOOLEAN DEFAULT 0 NOT NULL, links_made INTEGER DEFAULT '0' NOT NULL, 
	PRIMARY KEY (id), 
	FOREIGN KEY(project_id) REFERENCES projects (id), 
	UNIQUE (project_id, name)
);
CREATE TABLE artifact_files (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	artifact_number INTEGER NOT NULL, 
	kind VARCHAR NOT NULL, 
	name VARCHAR NOT NULL, 
	md5 VARCHAR NOT NULL, 
	mimetype VARCHAR, 
	content VARCHAR, 
	size INTEGER, reference TEXT, 
	FOREIGN KEY(artifact_number) REFERENCES artifacts (number), 
	UNIQUE (artifact_number, kind, name)
);
CREATE TABLE artifact_links (
	id INTEGER NOT NULL, 
	collection_id INTEGER NOT NULL, 
	artifact_number INTEGER NOT NULL, 
	version_index INTEGER NOT NULL, 
	linked_at FLOAT NOT NULL, 
	PRIMARY KEY (id), 
	FOREIGN KEY(collection_id) REFERENCES artifact_collections (id), 
	FOREIGN KEY(artifact_number) REFERENCES artifacts (number), 
	UNIQUE (collection_id, artifact_number), 
	UNIQUE (collection_id, version_index)
);
CREATE TABLE artifact_parts (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	file_id INTEGER NOT NULL, 
	number INTEGER NOT NULL, 
	md5 VARCHAR NOT NULL, 
	content VARCHAR, 
	size BIGINT, 
	UNIQUE (file_id, number), 
	FOREIGN KEY(file_id) REFERENCES artifact_files (id) ON DELETE CASCADE
);
CREATE TABLE artifact_runs (
	run_id INTEGER NOT NULL, 
	artifact_number INTEGER NOT NULL, 
	relation VARCHAR NOT NULL, 
	noted_at FLOAT NOT NULL, 
	PRIMARY KEY (run_id, artifact_number, relation), 
	FOREIGN KEY(run_id) REFERENCES runs (id) ON DELETE CASCADE, 
	FOREIGN KEY(artifact_number) REFERENCES artifacts (number) ON DELETE CASCADE
);
CREATE TABLE artifacts (
	number INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	collection_id INTEGER NOT NULL, 
	client_id VARCHAR, 
	state VARCHAR NOT NULL, 
	digest VARCHAR NOT NULL, 
	digest_algorithm VARCHAR NOT NULL, 
	description TEXT, 
	metadata TEXT, 
	wanted_aliases TEXT NOT NULL, 
	tags TEXT NOT NULL, 
	version_index INTEGER, 
	size INTEGER NOT NULL, 
	file_count INTEGER NOT NULL, 
	created_at FLOAT NOT NULL, 
	updated_at FLOAT NOT NULL, history_step BIGINT, ttl_seconds BIGINT, 
	FOREIGN KEY(collection_id) REFERENCES artifact_collections (id), 
	UNIQUE (collection_id, client_id)
);
CREATE TABLE entities (
	id INTEGER NOT NULL, 
	name VARCHAR NOT NULL, 
	is_team BOOLEAN NOT NULL, 
	PRIMARY KEY (id), 
	UNIQUE (name)
);
INSERT INTO "entities" VALUES(1,'root',0);
CREATE TABLE item_warnings (
	id INTEGER NOT NULL, 
	item_number INTEGER NOT NULL, 
	message TEXT NOT NULL, 
	stage VARCHAR NOT NULL, 
	file_paths TEXT, 
	created_at FLOAT NOT NULL, 
	PRIMARY KEY (id), 
	FOREIGN KEY(item_number) REFERENCES run_queue_items (number) ON DELETE CASCADE
);
CREATE TABLE launch_agent_queues (
	agent_id VARCHAR NOT NULL, 
	place INTEGER NOT NULL, 
	queue_id VARCHAR NOT NULL, 
	PRIMARY KEY (agent_id, place), 
	FOREIGN KEY(agent_id) REFERENCES launch_agents (id), 
	FOREIGN KEY(queue_id) REFERENCES run_queues (id)
);
INSERT INTO "launch_agent_queues" VALUES('d7021a5af84470c9a28a',0,'4e3ecd821fad79178dd3');
CREATE TABLE launch_agents (
	id VARCHAR NOT NULL, 
	entity_id INTEGER NOT NULL, 
	name VARCHAR NOT NULL, 
	hostname VARCHAR NOT NULL, 
	status VARCHAR NOT NULL, 
	stop_polling BOOLEAN NOT NULL, 
	config TEXT, 
	version VARCHAR, 
	created_at FLOAT NOT NULL, 
	heartbeat_at FLOAT NOT NULL, 
	next_queue INTEGER NOT NULL, 
	PRIMARY KEY (id), 
	FOREIGN KEY(entity_id) REFERENCES entities (id), 
	UNIQUE (name)
);
INSERT INTO "launch_agents" VALUES('d7021a5af84470c9a28a',1,'agentd7021a5a','vm','POLLING',0,'{"entity":"root","queues":["default"],"max_jobs":2,"max_schedulers":1,"secure_mode":false,"stopped_run_timeout":60}','launchd@0.1.0',1.79591503857581567763e+09,1.79591503877722334864e+09,0);
CREATE TABLE memberships (
	user_id INTEGER NOT NULL, 
	entity_id INTEGER NOT NULL, role INTEGER DEFAULT '3' NOT NULL, 
	PRIMARY KEY (user_id, entity_id), 
	FOREIGN KEY(entity_id) REFERENCES entities (id), 
	FOREIGN KEY(user_id) REFERENCES users (id)
);
INSERT INTO "memberships" VALUES(1,1,3);
CREATE TABLE projects (
	id INTEGER NOT NULL, 
	entity_id INTEGER NOT NULL, 
	name VARCHAR NOT NULL, 
	folded_name VARCHAR NOT NULL, 
	description TEXT, 
	access VARCHAR, 
	created_at FLOAT NOT NULL, 
	PRIMARY KEY (id), 
	FOREIGN KEY(entity_id) REFERENCES entities (id), 
	UNIQUE (entity_id, folded_name)
);
INSERT INTO "projects" VALUES(1,1,'model-registry','model-registry',NULL,NULL,1.79591503603114223484e+09);
INSERT INTO "projects" VALUES(2,1,'uncategorized','uncategorized',NULL,NULL,1.79591504454576230049e+09);
CREATE TABLE resource_configs (
	id INTEGER NOT NULL, 
	entity_id INTEGER NOT NULL, 
	resource VARCHAR NOT NULL, 
	config TEXT NOT NULL, 
	template_variables TEXT NOT NULL, 
	PRIMARY KEY (id), 
	FOREIGN KEY(entity_id) REFERENCES entities (id)
);
INSERT INTO "resource_configs" VALUES(1,1,'local-process','{"resource_args":{"local-process":{}}}','{}');
INSERT INTO "resource_configs" VALUES(2,1,'local-process','{"resource_args":{"local-process":{}}}','{}');
CREATE TABLE run_files (
	id INTEGER NOT NULL, 
	run_id INTEGER NOT NULL, 
	name VARCHAR NOT NULL, 
	content VARCHAR, 
	md5 VARCHAR, 
	size BIGINT, 
	updated_at FLOAT, 
	PRIMARY KEY (id), 
	FOREIGN KEY(run_id) REFERENCES runs (id) ON DELETE CASCADE, 
	UNIQUE (run_id, name)
);
CREATE TABLE run_lines (
	run_id INTEGER NOT NULL, 
	stream SMALLINT NOT NULL, 
	number INTEGER NOT NULL, 
	step BIGINT, 
	content TEXT NOT NULL, 
	PRIMARY KEY (run_id, stream, number), 
	FOREIGN KEY(run_id) REFERENCES runs (id) ON DELETE CASCADE
)
 WITHOUT ROWID

;
CREATE TABLE run_queue_items (
	number INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	id VARCHAR NOT NULL, 
	queue_id VARCHAR NOT NULL, 
	state VARCHAR NOT NULL, 
	priority INTEGER NOT NULL, 
	is_scheduler BOOLEAN NOT NULL, 
	run_spec TEXT NOT NULL, 
	created_at FLOAT NOT NULL, 
	agent_id VARCHAR, 
	claim_id VARCHAR, 
	leased_at FLOAT, 
	lease_ends_at FLOAT, 
	run_name VARCHAR, 
	run_id INTEGER, 
	report_sequence INTEGER, 
	status VARCHAR, 
	phase VARCHAR, 
	message TEXT, 
	stage VARCHAR, 
	exit_code INTEGER, 
	file_paths TEXT, 
	started_at FLOAT, 
	finished_at FLOAT, 
	stop_requested BOOLEAN NOT NULL, 
	stop_reason TEXT, author_id INTEGER REFERENCES users (id), follows_run BOOLEAN DEFAULT 0 NOT NULL, push_key VARCHAR, 
	FOREIGN KEY(agent_id) REFERENCES launch_agents (id), 
	FOREIGN KEY(queue_id) REFERENCES run_queues (id), 
	FOREIGN KEY(run_id) REFERENCES runs (id), 
	UNIQUE (id)
);
INSERT INTO "run_queue_items" VALUES(1,'284cfbad8b5efd7cfbf8','4e3ecd821fad79178dd3','FINISHED',2,0,'{"entity":"root","project":"uncategorized","author":"root","overrides":{"run_config":{},"entry_point":["echo","hi"]},"resource":"local-process","resource_args":{"local-process":{}}}',1.79591504443217658999e+09,'d7021a5af84470c9a28a',NULL,1.79591504444317173957e+09,NULL,'nwryslyv',1,16,'finished','finished',NULL,NULL,0,NULL,NULL,1.79591504462943220136e+09,0,NULL,1,0,'35a08e31f12d49728d454ccc463596ee');
INSERT INTO "run_queue_items" VALUES(2,'61c3df2ffcc1193bd312','4e3ecd821fad79178dd3','FAILED',2,0,'{"entity":"root","project":"uncategorized","author":"root","overrides":{"run_config":{},"entry_point":["sh","-c","exit 3"]},"resource":"local-process","resource_args":{"local-process":{}}}',1.79591504593320655819e+09,'d7021a5af84470c9a28a',NULL,1.79591504593630313865e+09,NULL,'yi9eex6l',2,6,'failed','failed','The command ended with exit code 3.','run',3,NULL,NULL,1.79591504601716709134e+09,0,NULL,1,0,'ac5d2853283a4fab82a7de42ae67b6fa');
INSERT INTO "run_queue_items" VALUES(3,'3d19c78ef2faa3b0eaef','4e3ecd821fad79178dd3','CLAIMED',2,0,'{"entity":"root","project":"uncategorized","author":"root","overrides":{"run_config":{},"entry_point":["sleep","602"]},"resource":"local-process","resource_args":{"local-process":{}}}',1.79591504740470957754e+09,'d7021a5af84470c9a28a',NULL,1.7959150474091579914e+09,NULL,'chfjq8vt',3,9,'running','running',NULL,NULL,NULL,NULL,1.79591504751363635061e+09,NULL,0,NULL,1,0,'dec207c2611645608b9e199b2e7f1f27');
INSERT INTO "run_queue_items" VALUES(4,'1541b9aff8fd758f58c8','4e3ecd821fad79178dd3','CLAIMED',2,0,'{"entity":"root","project":"uncategorized","author":"root","overrides":{"run_config":{},"entry_point":["sleep","601"]},"resource":"local-process","resource_args":{"local-process":{}}}',1.79591504886448097223e+09,'d7021a5af84470c9a28a',NULL,1.79591504886557817455e+09,NULL,'ta9bmtlm',4,5,'running','running',NULL,NULL,NULL,NULL,1.79591504892829227453e+09,NULL,0,NULL,1,0,'3cb9525d916948189ee1430c5b46ff6d');
CREATE TABLE run_queues (
	id VARCHAR NOT NULL, 
	project_id INTEGER NOT NULL, 
	name VARCHAR NOT NULL, 
	created_by VARCHAR NOT NULL, 
	access VARCHAR NOT NULL, 
	prioritization_mode VARCHAR NOT NULL, 
	resource_config_id INTEGER, 
	external_links TEXT, 
	created_at FLOAT NOT NULL, 
	deleted_at FLOAT, 
	PRIMARY KEY (id), 
	FOREIGN KEY(project_id) REFERENCES projects (id), 
	FOREIGN KEY(resource_config_id) REFERENCES resource_configs (id)
);
INSERT INTO "run_queues" VALUES('4e3ecd821fad79178dd3',1,'default','root','PROJECT','V0',1,NULL,1.79591503686729145046e+09,NULL);
INSERT INTO "run_queues" VALUES('9532d4395e8cc8423f84',1,'gpu','root','PROJECT','V0',2,NULL,1.79591504954862570767e+09,NULL);
CREATE TABLE runs (
	id INTEGER NOT NULL, 
	project_id INTEGER NOT NULL, 
	name VARCHAR NOT NULL, 
	display_name VARCHAR, 
	state VARCHAR NOT NULL, 
	stopped BOOLEAN NOT NULL, 
	created_at FLOAT NOT NULL, author_id INTEGER REFERENCES users (id), heartbeat_at FLOAT, exit_code INTEGER, group_name VARCHAR, job_type VARCHAR, host VARCHAR, program VARCHAR, repo VARCHAR, commit_hash VARCHAR, history_lines INTEGER DEFAULT '0' NOT NULL, event_lines INTEGER DEFAULT '0' NOT NULL, console_lines INTEGER DEFAULT '0' NOT NULL, tags TEXT, description TEXT, notes TEXT, config TEXT, summary TEXT, history_keys TEXT, sweep_id INTEGER REFERENCES sweeps (id), sweep_agent_id VARCHAR REFERENCES sweep_agents (id), 
	PRIMARY KEY (id), 
	FOREIGN KEY(project_id) REFERENCES projects (id), 
	UNIQUE (project_id, name)
);
INSERT INTO "runs" VALUES(1,2,'nwryslyv',NULL,'finished',0,1.79591504455279564857e+09,1,NULL,0,NULL,NULL,NULL,NULL,NULL,NULL,0,0,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "runs" VALUES(2,2,'yi9eex6l',NULL,'failed',0,1.7959150459586718082e+09,1,NULL,3,NULL,NULL,NULL,NULL,NULL,NULL,0,0,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "runs" VALUES(3,2,'chfjq8vt',NULL,'running',0,1.79591504743285512919e+09,1,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,0,0,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "runs" VALUES(4,2,'ta9bmtlm',NULL,'running',0,1.79591504888673639296e+09,1,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,0,0,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
CREATE TABLE sweep_agents (
	id VARCHAR NOT NULL, 
	sweep_id INTEGER NOT NULL, 
	host VARCHAR NOT NULL, 
	created_at FLOAT NOT NULL, 
	heartbeat_at FLOAT NOT NULL, 
	offered_run VARCHAR, 
	offers INTEGER NOT NULL, 
	PRIMARY KEY (id), 
	FOREIGN KEY(sweep_id) REFERENCES sweeps (id)
);
CREATE TABLE sweep_bands (
	sweep_id INTEGER NOT NULL, 
	band INTEGER NOT NULL, 
	run_id INTEGER NOT NULL, 
	loss FLOAT NOT NULL, 
	PRIMARY KEY (sweep_id, band, run_id), 
	FOREIGN KEY(sweep_id) REFERENCES sweeps (id), 
	FOREIGN KEY(run_id) REFERENCES runs (id) ON DELETE CASCADE
);
CREATE TABLE sweep_progress (
	sweep_id INTEGER NOT NULL, 
	run_id INTEGER NOT NULL, 
	lines_read INTEGER NOT NULL, 
	iterations INTEGER NOT NULL, 
	best FLOAT NOT NULL, 
	PRIMARY KEY (sweep_id, run_id), 
	FOREIGN KEY(sweep_id) REFERENCES sweeps (id), 
	FOREIGN KEY(run_id) REFERENCES runs (id) ON DELETE CASCADE
);
CREATE TABLE sweeps (
	id INTEGER NOT NULL, 
	project_id INTEGER NOT NULL, 
	name VARCHAR NOT NULL, 
	display_name VARCHAR, 
	description TEXT, 
	state VARCHAR NOT NULL, 
	config TEXT NOT NULL, 
	method VARCHAR NOT NULL, 
	controller TEXT, 
	scheduler TEXT, 
	launched BOOLEAN NOT NULL, 
	created_at FLOAT NOT NULL, 
	updated_at FLOAT NOT NULL, 
	heartbeat_at FLOAT, 
	grid_place INTEGER NOT NULL, 
	PRIMARY KEY (id), 
	FOREIGN KEY(project_id) REFERENCES projects (id), 
	UNIQUE (project_id, name)
);
CREATE TABLE users (
	id INTEGER NOT NULL, 
	name VARCHAR NOT NULL, 
	email VARCHAR NOT NULL, 
	admin BOOLEAN NOT NULL, 
	default_entity_id INTEGER NOT NULL, is_service BOOLEAN DEFAULT 0 NOT NULL, 
	PRIMARY KEY (id), 
	FOREIGN KEY(default_entity_id) REFERENCES entities (id), 
	UNIQUE (name)
);
INSERT INTO "users" VALUES(1,'root','',1,1,0);
CREATE UNIQUE INDEX run_queues_by_name ON run_queues (project_id, name) WHERE deleted_at IS NULL;
CREATE INDEX artifacts_by_digest ON artifacts (collection_id, digest);
CREATE INDEX run_queue_items_leased ON run_queue_items (lease_ends_at) WHERE state = 'LEASED';
CREATE INDEX run_queue_items_of_agent ON run_queue_items (agent_id, state);
CREATE INDEX run_queue_items_of_queue ON run_queue_items (queue_id, number);
CREATE INDEX run_queue_items_of_run ON run_queue_items (run_id);
CREATE INDEX run_queue_items_waiting ON run_queue_items (queue_id, is_scheduler, priority, number) WHERE state = 'PENDING';
CREATE INDEX ix_artifact_aliases_artifact_number ON artifact_aliases (artifact_number);
CREATE INDEX ix_artifact_files_md5 ON artifact_files (md5);
CREATE INDEX ix_item_warnings_item_number ON item_warnings (item_number);
CREATE INDEX runs_alive ON runs (heartbeat_at) WHERE state IN ('running', 'preempting');
CREATE INDEX run_lines_by_step ON run_lines (run_id, step) WHERE step IS NOT NULL;
CREATE INDEX ix_run_files_content ON run_files (content);
CREATE INDEX ix_artifact_runs_artifact_number ON artifact_runs (artifact_number);
CREATE INDEX ix_sweep_agents_sweep_id ON sweep_agents (sweep_id);
CREATE INDEX ix_runs_sweep_id ON runs (sweep_id);
CREATE UNIQUE INDEX run_queue_items_by_key ON run_queue_items (queue_id, push_key) WHERE push_key IS NOT NULL;
CREATE INDEX ix_artifact_files_content ON artifact_files (content);
CREATE INDEX ix_artifact_parts_content ON artifact_parts (content);
CREATE INDEX ix_sweep_progress_run_id ON sweep_progress (run_id);
CREATE INDEX ix_sweep_bands_run_id ON sweep_bands (run_id);
CREATE INDEX sweep_bands_by_loss ON sweep_bands (sweep_id, band, loss);
CREATE INDEX ix_artifact_links_artifact_number ON artifact_links (artifact_number);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('run_queue_items',4);
COMMIT;
PRAGMA user_version = 0;
