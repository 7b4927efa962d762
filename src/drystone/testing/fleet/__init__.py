"""What the tests of the fleet stand on: fleets of real processes and of simulated ones, disks, clients, histories."""
