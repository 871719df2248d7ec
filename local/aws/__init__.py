"""The bundle deployed on this machine: template, queues, rules, schedules and the functions' runtime."""
