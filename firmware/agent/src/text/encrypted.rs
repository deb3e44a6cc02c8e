//! Words about HTTPS.

words! {
    /// Words about HTTPS.
    Encrypted, encrypted {
        title: "The encrypted page", "La página cifrada", "La pàgina xifrada";
        yes: "This page is encrypted.", "Esta página va cifrada.", "Aquesta pàgina va xifrada.";
        how: "How to encrypt it", "Cómo cifrarla", "Com xifrar-la";
        why: "As it is now, whoever is on the way to this node can read passwords and everything else. Three steps change that, once for each phone and computer.", "Tal como está ahora, quien esté en el camino hasta este nodo puede leer las contraseñas y todo lo demás. Tres pasos lo cambian, una vez en cada teléfono y ordenador.", "Tal com és ara, qui sigui en el camí fins a aquest node pot llegir les contrasenyes i tota la resta. Tres passos ho canvien, un cop a cada telèfon i ordinador.";
        download: "Download this node's certificate.", "Descargue el certificado de este nodo.", "Baixeu el certificat d'aquest node.";
        compare: "Its fingerprint (SHA-256), which `cloudy https` says on the node too:", "Su huella (SHA-256), que también dice `cloudy https` en el nodo:", "La seva empremta (SHA-256), que també diu `cloudy https` al node:";
        trust: "Tell your system to trust it:", "Diga a su sistema que confíe en él:", "Digueu al vostre sistema que hi confiï:";
        android: "Android: Settings, Security, Install a certificate, CA certificate.", "Android: Ajustes, Seguridad, Instalar un certificado, Certificado de CA.", "Android: Configuració, Seguretat, Instal·la un certificat, Certificat de CA.";
        apple: "iPhone: open the file, install the profile in Settings, then switch it on in General, About, Certificate Trust Settings. Mac: open it in Keychain Access and set it to Always Trust.", "iPhone: abra el archivo, instale el perfil en Ajustes y actívelo en General, Información, Ajustes de confianza de certificados. Mac: ábralo en Acceso a Llaveros y elija Confiar siempre.", "iPhone: obriu el fitxer, instal·leu el perfil a Configuració i activeu-lo a General, Informació, Configuració de confiança dels certificats. Mac: obriu-lo a Accés a Claus i trieu Confia-hi sempre.";
        windows: "Windows: open the file, Install Certificate, place it in Trusted Root Certification Authorities.", "Windows: abra el archivo, Instalar certificado, colóquelo en Entidades de certificación raíz de confianza.", "Windows: obriu el fitxer, Instal·la el certificat, poseu-lo a Entitats de certificació arrel de confiança.";
        firefox: "Firefox: Settings, Privacy & Security, View Certificates, Authorities, Import.", "Firefox: Ajustes, Privacidad y seguridad, Ver certificados, Autoridades, Importar.", "Firefox: Configuració, Privadesa i seguretat, Mostra els certificats, Entitats, Importa.";
        open: "Open", "Abra", "Obriu";
        limits: "The certificate can vouch for names and addresses of local networks alone, and for no other site.", "El certificado solo sirve para nombres y direcciones de redes locales y para ningún otro sitio.", "El certificat només serveix per a noms i adreces de xarxes locals i per a cap altre lloc.";
        plain: "Without encryption", "Sin cifrado", "Sense xifratge";
        only_why: "Once your browser opens the encrypted page without a warning, the other one can be closed: it then leads there.", "Cuando su navegador abra la página cifrada sin avisos, la otra se puede cerrar: entonces lleva allí.", "Quan el vostre navegador obri la pàgina xifrada sense avisos, l'altra es pot tancar: aleshores hi porta.";
        is_only: "The page without encryption leads here.", "La página sin cifrado lleva aquí.", "La pàgina sense xifratge porta aquí.";
        only: "Close the page without encryption", "Cerrar la página sin cifrado", "Tanca la pàgina sense xifratge";
        both: "Open it again", "Abrirla de nuevo", "Torna a obrir-la";
    }
}
