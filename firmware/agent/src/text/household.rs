//! Words about the nodes of one owner.

words! {
    /// Words about the nodes of one owner.
    Household, household {
        title: "Your nodes", "Sus nodos", "Els vostres nodes";
        why: "Nodes of one owner need no permission of each other: who may act on one may act on all of them through any, and copies of your apps go to them first.", "Los nodos de un mismo propietario no se piden permiso: quien puede actuar en uno puede actuar en todos desde cualquiera, y las copias de sus aplicaciones van primero a ellos.", "Els nodes d'un mateix propietari no es demanen permís: qui pot actuar en un pot actuar en tots des de qualsevol, i les còpies de les vostres aplicacions hi van primer.";
        none: "This node is alone so far. Begin here, then say which of the others are yours too.", "Este nodo está solo por ahora. Empiece aquí y diga después qué otros también son suyos.", "Aquest node de moment és sol. Comenceu aquí i digueu després quins altres també són vostres.";
        begin: "Begin", "Empezar", "Comença";
        with_kit: "Or by your recovery kit…", "O con su juego de recuperación…", "O amb el vostre joc de recuperació…";
        with_kit_why: "Where the node on which you began is lost: its kit makes this one yours as well.", "Si se perdió el nodo en el que empezó: su juego hace suyo también este.", "Si s'ha perdut el node on vau començar: el seu joc fa vostre també aquest.";
        kit: "Recovery kit", "Juego de recuperación", "Joc de recuperació";
        take: "This node is mine", "Este nodo es mío", "Aquest node és meu";
        kit_made: "Keep this recovery kit", "Guarde este juego de recuperación", "Deseu aquest joc de recuperació";
        kit_why: "Copy it, print it, and put it where nobody else finds it: it makes nodes yours. It is not shown again here.", "Cópielo, imprímalo y guárdelo donde nadie más lo encuentre: hace suyos los nodos. Aquí no se volverá a mostrar.", "Copieu-lo, imprimiu-lo i deseu-lo on ningú més el trobi: fa vostres els nodes. Aquí no es tornarà a mostrar.";
        here: "there", "presente", "present";
        away: "not there", "ausente", "absent";
        other: "Which other node is yours?", "¿Qué otro nodo es suyo?", "Quin altre node és vostre?";
        ask: "It is mine too", "También es mío", "També és meu";
        ask_why: "Names are free: compare the digits with those on that node's own page. What you say here can't be taken back from whoever gets it: the other node's owner may act on all of yours.", "Los nombres son libres: compare las cifras con las de la página de ese nodo. Lo que diga aquí no se puede retirar a quien lo reciba: el propietario del otro nodo podrá actuar en todos los suyos.", "Els noms són lliures: compareu les xifres amb les de la pàgina d'aquell node. El que digueu aquí no es pot retirar a qui ho rebi: el propietari de l'altre node podrà actuar en tots els vostres.";
        this_id: "This node's digits:", "Las cifras de este nodo:", "Les xifres d'aquest node:";
        refused_here: "It was said here that it is not.", "Aquí se dijo que no lo es.", "Aquí es va dir que no ho és.";
        asked: "To be confirmed on the page of that node", "Falta confirmarlo en la página de ese nodo", "Falta confirmar-ho a la pàgina d'aquell node";
        refused: "It was said there that it is not yours.", "Allí se dijo que no es suyo.", "Allà es va dir que no és vostre.";
        take_back: "Take back", "Retirar", "Retira";
        asking: "The owner of this node says that the node here is theirs too:", "El propietario de este nodo dice que el nodo de aquí también es suyo:", "El propietari d'aquest node diu que el node d'aquí també és seu:";
        asking_why: "Say yes only if that is you, or somebody of your home: who may act there may act on everything here.", "Diga que sí solo si es usted o alguien de su casa: quien puede actuar allí podrá actuar en todo lo de aquí.", "Digueu que sí només si sou vós o algú de casa vostra: qui pot actuar allà podrà actuar en tot el d'aquí.";
        yes: "Yes, it is mine", "Sí, es mío", "Sí, és meu";
        no: "No", "No", "No";
        leave: "Take this node out of your nodes…", "Sacar este nodo de los suyos…", "Treure aquest node dels vostres…";
        leave_why: "The others can't act on it any more, nor it on them. It stays in the microcloud, and its apps stay.", "Los demás ya no podrán actuar en él, ni él en ellos. Sigue en la micronube y sus aplicaciones se quedan.", "Els altres ja no hi podran actuar, ni ell en els altres. Continua al micronúvol i les seves aplicacions es queden.";
        leave_now: "Take it out", "Sacarlo", "Treu-lo";
        look: "Look", "Ver", "Mira";
        for_operators: "What you may do here you may do on these as well.", "Lo que puede hacer aquí también puede hacerlo en estos.", "El que podeu fer aquí també ho podeu fer en aquests.";
        no_others: "This node is the only one.", "Este nodo es el único.", "Aquest node és l'únic.";
        apps_there: "Apps on", "Aplicaciones en", "Aplicacions a";
        no_apps: "No app is installed there. From the store here, \"On another node…\" puts one there.", "No hay ninguna aplicación instalada allí. Desde la tienda de aquí, «En otro nodo…» pone una.", "No hi ha cap aplicació instal·lada allà. Des de la botiga d'aquí, «En un altre node…» n'hi posa una.";
        back: "All your nodes", "Todos sus nodos", "Tots els vostres nodes";
    }
}
