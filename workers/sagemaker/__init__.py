"""What the runner of SageMaker's training jobs is made of: the request, the policy, the states and the logs."""
