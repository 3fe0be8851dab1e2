"""The four parts, each a description that the supervisor's `Running` brings to life."""
