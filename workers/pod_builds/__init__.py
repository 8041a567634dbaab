"""Images built in pods of a Kubernetes cluster, by kaniko or by buildah: for hosts that build nothing themselves.

A build is one Job, whose name follows from the image it makes, so that a later worker finds it. What it needs lies in
Secrets that belong to the Job and go with it. The room owns the Job's form, the way of the files into the cluster,
and the order of a build; the builders in ``workers.builders.pods`` put a tool to it.
"""
