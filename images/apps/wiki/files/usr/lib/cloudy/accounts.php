<?php
// What the owner set: the administrator's password, who may write, the wiki's name. Other accounts and rules stay as they are.
$conf = '/srv/wiki/conf';
$write = function ($name, $text) use ($conf) {
    file_put_contents("$conf/$name.making", $text);
    rename("$conf/$name.making", "$conf/$name");
};
$users = is_file("$conf/users.auth.php") ? file("$conf/users.auth.php") : ["# <?php exit()?>\n"];
$users = array_filter($users, fn($line) => !str_starts_with($line, 'admin:'));
$users[] = 'admin:' . password_hash(getenv('WIKI_PASSWORD'), PASSWORD_BCRYPT) . ":Administrator:admin@localhost:admin,user\n";
$write('users.auth.php', implode('', $users));
$everybody = getenv('WIKI_WRITERS') === 'everybody' ? 8 : 1;
$rules = is_file("$conf/acl.auth.php") ? file("$conf/acl.auth.php") : ["# acl.auth.php\n# <?php exit()?>\n", "*\t@user\t8\n"];
$rules = array_filter($rules, fn($line) => !preg_match('/^\*\s+@ALL\s/', $line));
$rules[] = "*\t@ALL\t$everybody\n";
$write('acl.auth.php', implode('', $rules));
$set = ['title' => getenv('WIKI_TITLE'), 'savedir' => '/srv/wiki/data', 'useacl' => 1, 'superuser' => '@admin', 'disableactions' => 'register', 'updatecheck' => 0];
$text = "<?php\n";
foreach ($set as $key => $value) {
    $text .= "\$conf['$key'] = " . var_export($value, true) . ";\n";
}
$write('local.protected.php', $text);
