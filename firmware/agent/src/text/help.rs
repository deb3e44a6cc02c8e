//! Words of the page that helps: what people ask, each with what to do.

words! {
    /// Words of the page that helps.
    Help, help {
        help: "Help", "Ayuda", "Ajuda";
        first: "When something is wrong, the first page says what, with the mend.", "Cuando algo va mal, la primera página dice qué es y cómo se arregla.", "Quan alguna cosa va malament, la primera pàgina diu què és i com s'arregla.";
        what: "What is a microcloud?", "¿Qué es una micronube?", "Què és un micronúvol?";
        what_is: "Small computers of neighbours that found each other. Each belongs to its owner, who decides what runs on it; what one of them publishes, all find.", "Pequeños ordenadores de vecinos que se han encontrado. Cada uno es de su propietario, que decide qué funciona en él; lo que uno publica, todos lo encuentran.", "Petits ordinadors de veïns que s'han trobat. Cadascun és del seu propietari, que decideix què hi funciona; el que un publica, tots ho troben.";
        enter: "How do I get into one?", "¿Cómo entro en una?", "Com hi entro?";
        enter_how: "Somebody who is in it makes an invite on their page of the microcloud; you paste it into yours. Or you found one of your own, and keep its recovery kit.", "Alguien que ya está hace una invitación en su página de la micronube; usted la pega en la suya. O bien funda una propia, y guarda su juego de recuperación.", "Algú que ja hi és fa una invitació a la seva pàgina del micronúvol; vós l'enganxeu a la vostra. O bé en fundeu un de propi, i en deseu el joc de recuperació.";
        app: "How do I run an app?", "¿Cómo pongo en marcha una aplicación?", "Com engego una aplicació?";
        app_how: "An operator or owner installs it on the page of apps by one button. Publish it there, and the others find it too. A person without a user asks the owner for one.", "Un operador o propietario la instala con un botón en la página de aplicaciones. Publíquela allí, y los demás también la encontrarán. Quien no tiene usuario se lo pide al propietario.", "Un operador o propietari la instal·la amb un botó a la pàgina d'aplicacions. Publiqueu-la allà, i els altres també la trobaran. Qui no té usuari el demana al propietari.";
        others: "How do I use what others run?", "¿Cómo uso lo que tienen los demás?", "Com faig servir el que tenen els altres?";
        others_how: "Search for it by a word, a category or the name of a node. What opens in a browser is a link; of the rest you see address and port.", "Búsquelo por una palabra, una categoría o el nombre de un nodo. Lo que se abre en un navegador es un enlace; de lo demás verá dirección y puerto.", "Cerqueu-ho per una paraula, una categoria o el nom d'un node. El que s'obre en un navegador és un enllaç; de la resta veureu adreça i port.";
        broken: "An app does not run", "Una aplicación no funciona", "Una aplicació no funciona";
        broken_how: "Its own page shows what it said last and what failed. Restart it there; a change of its settings can be made there too.", "Su propia página muestra lo último que dijo y qué falló. Reiníciela allí; también allí se cambian sus ajustes.", "La seva pròpia pàgina mostra el darrer que ha dit i què ha fallat. Reinicieu-la allà; també allà se'n canvien els paràmetres.";
        unseen: "A neighbour's node is not seen", "No se ve el nodo de un vecino", "No es veu el node d'un veí";
        unseen_how: "Log in to your node with ssh and give this command: it says what was looked at, what was found, and the mend.", "Entre en su nodo por ssh y dé esta orden: dice qué se ha mirado, qué se ha encontrado y cómo se arregla.", "Entreu al vostre node per ssh i doneu aquesta ordre: diu què s'ha mirat, què s'ha trobat i com s'arregla.";
        password: "I forgot my password", "He olvidado mi contraseña", "He oblidat la contrasenya";
        off: "How do I switch it off?", "¿Cómo se apaga?", "Com s'apaga?";
        off_how: "Pull the plug, or press the button of a PC: a node is built for that, and comes back by itself when it has power again.", "Desenchúfelo, o pulse el botón de un PC: un nodo está hecho para eso, y vuelve solo cuando tiene corriente.", "Desendolleu-lo, o premeu el botó d'un PC: un node està fet per a això, i torna sol quan té corrent.";
        settings: "Where do I set Wi-Fi, name and ssh keys?", "¿Dónde se ponen la Wi-Fi, el nombre y las claves ssh?", "On es posen la Wi-Fi, el nom i les claus ssh?";
        settings_how: "Put the card or stick into a computer: on it lies a file cloudy.toml.example that explains itself. Save it as cloudy.toml, and start the node with it.", "Ponga la tarjeta o el lápiz en un ordenador: allí hay un archivo cloudy.toml.example que se explica solo. Guárdelo como cloudy.toml y arranque el nodo con él.", "Poseu la targeta o el llapis en un ordinador: hi ha un fitxer cloudy.toml.example que s'explica sol. Deseu-lo com a cloudy.toml i engegueu el node amb ell.";
    }
}
