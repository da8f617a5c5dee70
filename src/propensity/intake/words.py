"""The words that columns and values are recognised by, in several languages.

A word stands here if people who name columns mean one thing by it. What is not here is judged by what the
column holds, or asked about.
"""

from __future__ import annotations

import re
import unicodedata
from itertools import pairwise

_BREAK = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|[\W_]+")


def tokens(name: str) -> tuple[str, ...]:
    """Return the words of a name in lower case, without accents: ``LeadSource`` gives lead, source."""
    plain = unicodedata.normalize("NFKD", name)
    plain = "".join(c for c in plain if not unicodedata.combining(c)).replace("ß", "ss")
    return tuple(part.lower() for part in _BREAK.split(plain) if part)


def has(name: str, words: frozenset[str]) -> bool:
    """Return whether a name has one of the words, or two neighbouring ones written together."""
    parts = tokens(name)
    joined = {a + b for a, b in pairwise(parts)}
    return bool(words & ({*parts, "".join(parts)} | joined))


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Names of columns.
ID = _words(
    "id ids key number nr no num nummer numero code guid uuid identifier identificador identifiant ident"
)
ID_OWNERS = _words(
    "lead leads prospect record case opportunity deal contact person customer client application session row "
    "leadid prospectid recordid caseid opportunityid dealid contactid customerid personid applicationid "
    "vorgang interessent anfrage fall kunde piste affaire prospecto oportunidad caso trattativa oportunidade "
    "kans aanvraag dossier"
)
CREATED = _words(
    "create created creation createdate createdat registered registration register reg entry entered "
    "engage engaged "
    "open opened start started begin began first submitted submission received arrival arrived inquiry "
    "signup "
    "signed acquired added inserted angelegt erstellt erstelldatum eingang eingegangen anlage cree creee "
    "creation debut ouverture creado creada creacion alta apertura creato creata creazione inizio criado "
    "criada "
    "criacao abertura aangemaakt aanmaak begindatum binnenkomst"
)
CLOSED = _words(
    "close closed closing closedate closedat won lost win end ended ending outcome converted conversion "
    "decided "
    "decision resolved resolution completed completion finished finish ts_close abgeschlossen abschluss "
    "geschlossen gewonnen verloren entschieden cloture cloturee fin gagne perdu cierre cerrado ganado "
    "perdido "
    "chiusura chiuso vinto perso fechamento fechado ganho gesloten afgesloten einddatum became"
)
NOT_A_BEGINNING = CLOSED | _words(
    "modified modification update updated change changed last latest recent next expected forecast "
    "planned due "
    "deadline birth birthday birthdate dob geburt geburtstag naissance nacimiento nascita nascimento "
    "geboorte "
    "stage lifecycle geandert modifie modificado modificato gewijzigd expiry expires valid until assigned "
    "contacted activity"
)
NOT_AN_END = _words(
    "expected forecast planned target create created creation modified update updated last next activity due "
    "start started open opened begin prognose voraussichtlich prevu prevista previsto verwacht"
)
ACCOUNT = _words(
    "account accounts company companies organisation organization organisations employer firm firma "
    "unternehmen "
    "konto societe entreprise compte empresa cuenta organizacion azienda ditta organizzazione conta bedrijf "
    "organisatie accountid companyid"
)
ACCOUNT_FILLERS = (
    ACCOUNT | ID | _words("name names nom nombre nome naam primary parent associated customer lead the s")
)
AMOUNT = _words(
    "amount value revenue price total arr acv tcv mrr betrag umsatz wert montant valeur importe valor "
    "importo "
    "valore bedrag waarde dealvalue closevalue"
)
OF_A_DEAL = _words(
    "close closed closing deal opportunity won contract sale sales order dealvalue closevalue booked"
)
REASON = _words("reason reasons grund raison motivo motif razon ragione reden")
OF_A_LOSS = _words(
    "lost loss lose close closed closing rejection reject rejected disqualified disqualification decline "
    "declined "
    "cancel verlust absage verloren perte perdu perdida perdido perdita perda verlies"
)
INDUSTRY = _words(
    "company account industry industries sector employees employee headcount turnover firm firmographic "
    "organisation organization business naics sic branche mitarbeiter unternehmen firma umsatz secteur "
    "effectif "
    "entreprise societe industria empleados empresa settore dipendenti azienda setor funcionarios bedrijf "
    "medewerkers omzet"
)

CHANNEL_FIRST = (
    ("lead", "source"),
    ("original", "source"),
    ("channel",),
    ("kanal",),
    ("canal",),
    ("canale",),
    ("kanaal",),
    ("source",),
    ("quelle",),
    ("herkunft",),
    ("leadquelle",),
    ("leadsource",),
    ("origine",),
    ("origen",),
    ("origem",),
    ("fonte",),
    ("bron",),
    ("utm", "source"),
    ("utm", "medium"),
    ("traffic", "source"),
    ("traffic", "type"),
    ("traffic", "channel"),
    ("lead", "origin"),
    ("origin",),
    ("medium",),
    ("referrer",),
    ("contact",),
    ("contact", "type"),
    ("contact", "channel"),
)
CHANNEL_FILLERS = _words(
    "type name latest first lead deal marketing acquisition detail category id code s the"
)
CONTACT_VALUES = _words(
    "cellular telephone phone mobile mail email post sms web online letter fax telefon handy brief portable "
    "telefono movil cellulare telefone telefoon"
)

STATUS_STRONG = _words(
    "outcome outcomes status stage dealstage won converted conversion target label y result revenue "
    "subscribed "
    "purchased purchase bought sold deposit response responded iswon isconverted closedwon win wonlost "
    "ergebnis gewonnen abschluss phase resultat statut etape gagne resultado estado etapa ganado esito stato "
    "fase vinto situacao ganho uitkomst uitslag gewonnen"
)
STATUS_FLAG_ONLY = _words("revenue deposit y target label response class")
STATUS_OTHER = _words(
    "previous prior last email call marital employment payment newsletter poutcome campaign opt optin social "
    "credit account company ticket task mail civil familienstand verification delivery"
)

# Values of an outcome.
WON = _words(
    "won win closedwon converted customer client purchased purchase bought sold signed subscribed success "
    "successful approved activated accepted enrolled deposit gewonnen kunde erfolgreich abgeschlossen "
    "gekauft "
    "gagne gagnee conclu conclue ganado ganada cliente vendido vinto vinta acquisito ganho ganha fechado "
    "gewonnen "
    "klant verkocht"
)
LOST = _words(
    "lost loss lose closedlost declined cancelled canceled rejected refused disqualified unqualified junk "
    "dead "
    "failed failure unsuccessful abandoned expired withdrawn unconverted nonconverted churned denied "
    "verloren abgelehnt abgesagt storniert unqualifiziert perdu perdue annule annulee refuse rejete "
    "perdido perdida rechazado rechazada cancelado cancelada perso persa rifiutato annullato descartado "
    "recusado afgewezen geannuleerd vervallen"
)
NEGATION = _words("not no non un never nicht kein nie pas non sin nao niet geen")
VALUE_FILLERS = _words(
    "closed close deal lead opportunity stage status outcome case a an the by customer client and oder y "
    "et 1 2 3 4 "
    "5 6 7 8 9 10 case application geschlossen ferme cerrado chiuso fechado gesloten"
)
YES = _words("yes true 1 y t ja oui si sim wahr vrai verdadero vero j o s")
NO = _words("no false 0 n f nein non nao nee falsch faux falso")

# Names of columns of events.
EVENT_AT = _words(
    "timestamp time date datetime at when occurred happened event eventat ts zeit zeitpunkt datum heure "
    "fecha hora "
    "ora data tijd tijdstip"
)
KNOWN_AT = _words("known recorded logged ingested synced sync loaded stored received importiert erfasst")
EVENT_TYPE = _words(
    "type event activity action kind eventtype eventname activitytype name aktivitat ereignis typ art "
    "activite "
    "evenement actividad evento tipo attivita azione atividade activiteit soort"
)
ASSET = _words(
    "asset page url form offer lifecycle path content resource_name subject template document seite formular "
    "formulaire pagina modulo formulario formulier pagetitle landing"
)
CAMPAIGN = _words("campaign kampagne campagne campana campagna campanha")
VALUE = _words(
    "value amount seconds duration revenue minutes dauer wert duree valeur duracion valor durata waarde"
)

# Event types, by what stands in their names; the first that fits, in this order.
EVENT_FAMILIES: tuple[tuple[str, frozenset[str]], ...] = (
    (
        "social",
        _words(
            "social linkedin facebook twitter instagram xing tiktok youtube follow followed follower "
            "share shared "
            "like liked retweet mention folgen abonniert suivre seguir"
        ),
    ),
    (
        "email",
        _words(
            "email emails mail mails newsletter open opened click clicked unsubscribe unsubscribed bounce "
            "bounced "
            "delivered sent reply replied spam geoffnet geklickt abgemeldet courriel ouvert correo abierto "
            "apertura posta inviata aberto geopend verzonden offer offers"
        ),
    ),
    (
        "sales",
        _words(
            "call calls called phone phoned telephone meeting meetings met task note sms demo_given rep "
            "visit_by_rep "
            "voicemail appointment anruf telefonat termin besuch gesprach appel reunion rendez llamada "
            "chiamata "
            "riunione ligacao reuniao bellen nabellen gebeld telefoon afspraak"
        ),
    ),
)

# Months and weekdays by their first three letters, as they are abbreviated.
MONTHS: tuple[frozenset[str], ...] = tuple(
    _words(w)
    for w in (
        "jan ene gen janv",
        "feb fev fevr",
        "mar mrz mae mars maa mrt",
        "apr abr avr",
        "may mai mag mei",
        "jun giu juin",
        "jul lug juil",
        "aug ago aou",
        "sep set",
        "oct okt ott out",
        "nov",
        "dec dez dic",
    )
)
WEEKDAYS: tuple[frozenset[str], ...] = tuple(
    _words(w)
    for w in (
        "mon mo lun maa seg",
        "tue di tu die mar dins ter",
        "wed mi we mit mer mie woe qua",
        "thu do th don jeu jue gio qui",
        "fri fr fre ven vie vri sex",
        "sat sa sam sab zat",
        "sun so su son dim dom zon",
    )
)
MONTH_NAME = _words("month months monat mois mes mese maand")
WEEKDAY_NAME = _words("day weekday dow dayofweek wochentag tag jour dia giorno dag")

# Texts that stand for nothing, in lower case; "unknown", "other" and "no" are answers.
PLACEHOLDERS = _words(
    "select n/a #n/a null nan (blank) blank (empty) <null> \\n undefined nil - -- --- . ? #value! #ref! "
    "(null)"
) | frozenset(
    {"-- none --", "--none--", "please select", "- select -", "-- select --", "not set", "(not set)"}
)
