//! Words about the node's settings and its power.

words! {
    /// Words about the node's settings and its power.
    Settings, settings {
        settings: "Settings", "Ajustes", "Configuració";
        trial: "Does this node work as it is now?", "¿Funciona el nodo tal como está ahora?", "Funciona el node tal com està ara?";
        trial_why: "If you see this at the address where you want the node to be, keep the change. If nobody does, the node goes back to how it was in", "Si ve esto en la dirección donde quiere que esté el nodo, conserve el cambio. Si nadie lo hace, el nodo vuelve a como estaba en", "Si veieu això a l'adreça on voleu que sigui el node, conserveu el canvi. Si ningú no ho fa, el node torna a com estava d'aquí a";
        keep: "Keep the change", "Conservar el cambio", "Conserva el canvi";
        taken_back: "Nobody kept the last change, so it was taken back: the network is as it was before.", "Nadie conservó el último cambio, así que se ha deshecho: la red está como antes.", "Ningú no va conservar l'últim canvi, així que s'ha desfet: la xarxa és com abans.";
        from: "Set by", "Viene de", "Ve de";
        change: "Change", "Cambiar", "Canvia";
        time: "Time", "Hora", "Hora";
        zone: "Time zone", "Zona horaria", "Zona horària";
        network: "Network by cable", "Red por cable", "Xarxa per cable";
        network_why: "Leave all empty, and the router gives the address: that fits nearly everywhere.", "Déjelo todo vacío y el rúter dará la dirección: así va bien casi siempre.", "Deixeu-ho tot buit i el router donarà l'adreça: així va bé gairebé sempre.";
        address: "Fixed address", "Dirección fija", "Adreça fixa";
        gateway: "Router", "Rúter", "Router";
        dns: "Name servers", "Servidores de nombres", "Servidors de noms";
        wifi: "Wi-Fi", "Wi-Fi", "Wi-Fi";
        ssid: "Name of the network", "Nombre de la red", "Nom de la xarxa";
        passphrase: "Its key", "Su clave", "La seva clau";
        country: "Country (two letters)", "País (dos letras)", "País (dues lletres)";
        unchanged: "stays as it is", "queda como está", "queda com està";
        no_wifi: "Use no Wi-Fi", "No usar Wi-Fi", "No facis servir Wi-Fi";
        keys: "Who may log in with ssh", "Quién puede entrar por ssh", "Qui pot entrar per ssh";
        no_keys: "Nobody.", "Nadie.", "Ningú.";
        keys_how: "Keys open everything on this node, so they are set in cloudy.toml on its card or stick, and not from a page.", "Las claves lo abren todo en este nodo; por eso se ponen en cloudy.toml, en su tarjeta o lápiz, y no desde una página.", "Les claus ho obren tot en aquest node; per això es posen a cloudy.toml, a la targeta o llapis, i no des d'una pàgina.";
        power: "Power", "Encendido", "Engegada";
        power_why: "A node may also just be unplugged: it is built for that.", "También se puede desenchufar sin más: un nodo está hecho para eso.", "També es pot desendollar sense més: un node està fet per a això.";
        restart: "Restart this node…", "Reiniciar este nodo…", "Reiniciar aquest node…";
        restart_why: "Its apps stop, and run again some minutes later.", "Sus aplicaciones se paran y vuelven a funcionar unos minutos después.", "Les seves aplicacions s'aturen i tornen a funcionar uns minuts després.";
        restart_now: "Restart now", "Reiniciar ahora", "Reinicia ara";
        restarting: "This node restarts.", "Este nodo se reinicia.", "Aquest node es reinicia.";
        restarting_why: "This page is there again in a few minutes.", "Esta página vuelve a estar en unos minutos.", "Aquesta pàgina torna a ser-hi d'aquí a uns minuts.";
        reset: "Erase this node…", "Borrar este nodo…", "Esborrar aquest node…";
        reset_why: "It forgets its owner, its users, its apps with all their data, its files and its microcloud, and starts as if it were new. Nothing brings them back here. Wi-Fi key and invite must be written into cloudy.toml again. Before you give the card away, flash it anew: who has tools can read what was on it.", "Olvida a su propietario, sus usuarios, sus aplicaciones con todos sus datos, sus archivos y su micronube, y arranca como si fuera nuevo. Aquí nada los recupera. La clave de la Wi-Fi y la invitación deben escribirse de nuevo en cloudy.toml. Antes de dar la tarjeta a alguien, grábela de nuevo: con herramientas se puede leer lo que había.", "Oblida el seu propietari, els usuaris, les aplicacions amb totes les dades, els fitxers i el micronúvol, i arrenca com si fos nou. Aquí res no els recupera. La clau de la Wi-Fi i la invitació s'han d'escriure de nou a cloudy.toml. Abans de donar la targeta, graveu-la de nou: amb eines es pot llegir el que hi havia.";
        reset_name: "To do it, write this node's name:", "Para hacerlo, escriba el nombre de este nodo:", "Per fer-ho, escriviu el nom d'aquest node:";
        reset_now: "Erase everything", "Borrarlo todo", "Esborra-ho tot";
        off: "Switch it off…", "Apagarlo…", "Apagar-lo…";
        off_why: "It stays off until somebody gives it power anew, or presses its button.", "Se queda apagado hasta que alguien le da corriente de nuevo o pulsa su botón.", "Es queda apagat fins que algú li dona corrent de nou o en prem el botó.";
        off_now: "Switch off now", "Apagar ahora", "Apaga ara";
        stopping: "This node switches off.", "Este nodo se apaga.", "Aquest node s'apaga.";
        where_is_it: "Where is this node?", "¿Dónde está este nodo?", "On és aquest node?";
        where_why: "It shows the time of Greenwich until somebody says its time zone.", "Muestra la hora de Greenwich hasta que alguien diga su zona horaria.", "Mostra l'hora de Greenwich fins que algú en digui la zona horària.";
        say_zone: "Say its time zone", "Decir su zona horaria", "Digues la zona horària";
    }
}
