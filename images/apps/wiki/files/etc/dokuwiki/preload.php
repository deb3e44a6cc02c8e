<?php
// The image is only read: what changes lies in the volume.
if (!defined('DOKU_CONF')) define('DOKU_CONF', '/srv/wiki/conf/');
