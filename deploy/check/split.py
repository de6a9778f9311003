"""split.py FOLDER: the YAML documents of standard input, those of Kubernetes itself each into a file of FOLDER, all as JSON lines to standard output."""
import json
import pathlib
import sys

import yaml

folder = pathlib.Path(sys.argv[1])
folder.mkdir(parents=True, exist_ok=True)
for number, document in enumerate(filter(None, yaml.safe_load_all(sys.stdin))):
    print(json.dumps(document))
    if not document["apiVersion"].startswith("monitoring."):
        (folder / f"{number}-{document['kind']}.yaml").write_text(yaml.safe_dump(document))
