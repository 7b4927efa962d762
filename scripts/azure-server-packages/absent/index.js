"use strict"; // nothing: see ../package.json
