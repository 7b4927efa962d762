"""Linux's SCSI target (LIO): block devices of this host offered to others by iSCSI, by writing configfs."""
