//! Words about people: logging in, claiming the node, users and their programs.

words! {
    /// Words about people.
    People, people {
        home: "Node", "Nodo", "Node";
        apps: "Apps", "Aplicaciones", "Aplicacions";
        users: "Users", "Usuarios", "Usuaris";
        account: "Account", "Cuenta", "Compte";
        menu: "Pages", "Páginas", "Pàgines";
        log_in: "Log in", "Entrar", "Entra";
        log_out: "Log out", "Salir", "Surt";
        name: "Name", "Nombre", "Nom";
        password: "Password", "Contraseña", "Contrasenya";
        name_rule: "Small letters, digits, - _ and . ; it begins with a letter.", "Minúsculas, cifras, - _ y . ; empieza por una letra.", "Minúscules, xifres, - _ i . ; comença per una lletra.";
        password_rule: "At least 10 characters. A sentence is good.", "Al menos 10 caracteres. Una frase va bien.", "Almenys 10 caràcters. Una frase va bé.";
        wrong: "The name or the password is wrong.", "El nombre o la contraseña no son correctos.", "El nom o la contrasenya no són correctes.";
        wait: "Too many wrong tries. Try again in so many seconds:", "Demasiados intentos fallidos. Vuelva a probar dentro de estos segundos:", "Massa intents fallits. Torneu-ho a provar d'aquí a aquests segons:";
        busy: "The node is looking at another password. Try again in a moment.", "El nodo está comprobando otra contraseña. Vuelva a probar en un momento.", "El node està comprovant una altra contrasenya. Torneu-ho a provar en un moment.";
        forgotten: "Forgotten? An owner sets a new password, or `cloudy user password NAME` on the node.", "¿Olvidada? Un propietario pone una nueva, o bien `cloudy user password NOMBRE` en el nodo.", "Oblidada? Un propietari en posa una de nova, o bé `cloudy user password NOM` al node.";
        not_done: "This was not done", "No se ha hecho", "No s'ha fet";
        claim: "Claim this node", "Hacerse con este nodo", "Fer-se amb aquest node";
        unclaimed: "Nobody owns this node yet.", "Este nodo aún no tiene propietario.", "Aquest node encara no té propietari.";
        claim_open: "Choose a name and a password: you become its owner. This works without a code for half an hour after the node was switched on, from its own network.", "Elija un nombre y una contraseña: será su propietario. Durante media hora desde que se encendió, y desde su propia red, no hace falta código.", "Trieu un nom i una contrasenya: en sereu el propietari. Durant mitja hora des que s'ha engegat, i des de la seva pròpia xarxa, no cal cap codi.";
        claim_code: "It was switched on more than half an hour ago, or you come from another network. Switch it off and on again, or give the code that `cloudy user claim-code` shows on the node.", "Se encendió hace más de media hora, o usted viene de otra red. Apáguelo y vuelva a encenderlo, o escriba el código que muestra `cloudy user claim-code` en el nodo.", "Fa més de mitja hora que s'ha engegat, o veniu d'una altra xarxa. Apagueu-lo i torneu-lo a engegar, o escriviu el codi que mostra `cloudy user claim-code` al node.";
        claim_owned: "This node has an owner. Ask the owner for a user, or log in.", "Este nodo tiene propietario. Pídale un usuario, o entre.", "Aquest node té propietari. Demaneu-li un usuari, o entreu.";
        claim_unsure: "This node can't read or keep its users at present, so it takes no new owner. The first page says what is wrong.", "Ahora mismo este nodo no puede leer o conservar sus usuarios, y no acepta propietario. La primera página dice qué va mal.", "Ara mateix aquest node no pot llegir o conservar els seus usuaris, i no accepta propietari. La primera pàgina diu què va malament.";
        code: "Claim code", "Código", "Codi";
        code_wrong: "The code is wrong.", "El código no es correcto.", "El codi no és correcte.";
        role: "Role", "Papel", "Paper";
        owner: "owner: decides on everything", "propietario: decide sobre todo", "propietari: decideix sobre tot";
        operator: "operator: installs and runs apps", "operador: instala y lleva aplicaciones", "operador: instal·la i porta aplicacions";
        guest: "guest: sees what is shared", "invitado: ve lo que se comparte", "convidat: veu el que es comparteix";
        may_own: "only an owner of this node may do that", "esto solo puede hacerlo un propietario de este nodo", "això només ho pot fer un propietari d'aquest node";
        may_operate: "only an operator or owner of this node may do that", "esto solo puede hacerlo un operador o propietario de este nodo", "això només ho pot fer un operador o propietari d'aquest node";
        may_reach: "only who is logged in opens services of other nodes through this one (a program by a token with scope `apps`)", "solo quien ha entrado abre servicios de otros nodos a través de este (un programa, con una credencial de alcance `apps`)", "només qui ha entrat obre serveis d'altres nodes a través d'aquest (un programa, amb una credencial d'abast `apps`)";
        on_the_node: "this is done on the node itself, with its command line `cloudy`", "esto se hace en el propio nodo, con su línea de órdenes `cloudy`", "això es fa al mateix node, amb la seva línia d'ordres `cloudy`";
        stale_form: "this form is not of your session", "este formulario no es de su sesión", "aquest formulari no és de la vostra sessió";
        no_origin: "the browser does not say from which page this comes", "el navegador no dice de qué página viene esto", "el navegador no diu de quina pàgina ve això";
        open_anew: "open the node's page anew and try again", "abra de nuevo la página del nodo y vuelva a probar", "torneu a obrir la pàgina del node i torneu-ho a provar";
        changed_meanwhile: "Somebody else changed this user since you opened the page. This is how it is now: look at it, and change it again if that is still what you want.", "Otra persona cambió este usuario después de que usted abriera la página. Así está ahora: mírelo y vuelva a cambiarlo si aún lo quiere.", "Algú altre ha canviat aquest usuari després que obríssiu la pàgina. Ara està així: mireu-lo i torneu a canviar-lo si encara ho voleu.";
        add_user: "Add a user", "Añadir un usuario", "Afegir un usuari";
        add: "Add", "Añadir", "Afegeix";
        alone: "You are the only user. Add one for each person who looks after this node: a shared password can't be taken back from one of them.", "Usted es el único usuario. Añada uno por cada persona que cuide de este nodo: una contraseña compartida no se puede retirar a una sola.", "Sou l'únic usuari. Afegiu-ne un per cada persona que tingui cura d'aquest node: una contrasenya compartida no es pot retirar a una de sola.";
        remove: "Remove", "Quitar", "Treu";
        set: "Set", "Cambiar", "Canvia";
        new_password: "New password", "Nueva contraseña", "Contrasenya nova";
        old_password: "Password until now", "Contraseña actual", "Contrasenya actual";
        change_password: "Change the password", "Cambiar la contraseña", "Canviar la contrasenya";
        ends_sessions: "All sessions of that person end.", "Se cierran todas las sesiones de esa persona.", "Es tanquen totes les sessions d'aquesta persona.";
        everywhere: "Log out everywhere", "Salir en todas partes", "Surt a tot arreu";
        everywhere_why: "Ends your sessions on all your devices, if you left one open or lost one.", "Cierra sus sesiones en todos sus aparatos, si dejó una abierta o perdió uno.", "Tanca les vostres sessions en tots els aparells, si n'heu deixat una d'oberta o n'heu perdut un.";
        tokens: "Tokens for programs", "Fichas para programas", "Fitxes per a programes";
        no_tokens: "None yet. A program that shows a token (`Authorization: Bearer …`) may use the API as far as you allow it here.", "Todavía ninguna. Un programa que muestre una ficha (`Authorization: Bearer …`) puede usar la API hasta donde usted lo permita aquí.", "Encara cap. Un programa que mostri una fitxa (`Authorization: Bearer …`) pot fer servir l'API fins on ho permeteu aquí.";
        token_once: "Copy this token now: it is not shown again.", "Copie ahora esta ficha: no se volverá a mostrar.", "Copieu ara aquesta fitxa: no es tornarà a mostrar.";
        token_for: "What for", "Para qué", "Per a què";
        scope: "May", "Puede", "Pot";
        scope_read: "see apps, jobs and logs", "ver aplicaciones, tareas y registros", "veure aplicacions, tasques i registres";
        scope_apps: "install and run apps", "instalar y llevar aplicaciones", "instal·lar i portar aplicacions";
        scope_admin: "all that I may", "todo lo que yo puedo", "tot el que jo puc";
        make_token: "Make a token", "Crear una ficha", "Crear una fitxa";
        revoke: "Revoke", "Anular", "Anul·la";
        logged_in_as: "Logged in as", "Ha entrado como", "Heu entrat com a";
    }
}
