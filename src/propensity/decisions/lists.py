"""The built-in lists of disqualification rules, which a rule opts into by name.

Nothing says which language a title is in, so a word stands here only if it names a student or an intern in
the title of one person. Left out are words that also mean something else (French *interne*, *stage*),
apprentices, trainees, and plurals, which say whom a person works for rather than what the person is. The
English *intern* is kept, though Dutch and German titles use it for "internal".
"""

from __future__ import annotations


def _words(text: str) -> list[str]:
    return text.split()


STUDENTS = _words(
    "student intern internship undergraduate "  # English
    "estudiante alumno alumna becario becaria practicante pasante prácticas "  # Spanish
    "estudante aluno aluna estagiário estagiária bolseiro bolseira "  # Portuguese
    "studente stagiair stagiaire stagelopend leerling "  # Dutch
    "studentin studierende studierender werkstudent werkstudentin praktikant praktikantin praktikum "
    "schüler schülerin schueler schuelerin "  # German
    "étudiant étudiante alternant alternante lycéen lycéenne "  # French
    "студент студентка стажёр стажёрка практикант практикантка интерн учащийся учащаяся "  # Russian
    "studentessa stagista tirocinante "  # Italian
    "studentka stażysta stażystka praktykant praktykantka "  # Polish
    "studerende öğrenci stajyer"  # Danish, Turkish
)

# Providers that give addresses to anybody. Those of internet providers (t-online.de, orange.fr) are held by
# their customers, and by the provider's own staff.
FREE_MAIL = _words(
    "gmail.com googlemail.com "
    "outlook.com outlook.de outlook.es outlook.fr outlook.it outlook.pt outlook.com.br hotmail.com "
    "hotmail.co.uk hotmail.de hotmail.es hotmail.fr hotmail.it hotmail.nl hotmail.be hotmail.com.br "
    "live.com live.co.uk live.de live.fr live.it live.nl live.be live.com.pt msn.com windowslive.com "
    "yahoo.com yahoo.co.uk yahoo.de yahoo.es yahoo.fr yahoo.it yahoo.ca yahoo.co.in yahoo.in yahoo.co.jp "
    "yahoo.com.ar yahoo.com.au yahoo.com.br yahoo.com.mx yahoo.co.id yahoo.com.tw ymail.com rocketmail.com "
    "aol.com aim.com icloud.com me.com mac.com proton.me protonmail.com protonmail.ch pm.me tutanota.com "
    "tutanota.de tuta.io tuta.com fastmail.com fastmail.fm hey.com zohomail.com zohomail.eu mail.com "
    "email.com inbox.com gmx.com gmx.net gmx.de gmx.at gmx.ch gmx.fr gmx.es web.de freenet.de t-online.de "
    "mailbox.org posteo.de bluewin.ch aon.at orange.fr wanadoo.fr free.fr laposte.net sfr.fr neuf.fr "
    "libero.it virgilio.it alice.it tin.it tiscali.it terra.com.br uol.com.br bol.com.br ig.com.br "
    "sapo.pt telefonica.net ziggo.nl planet.nl hetnet.nl kpnmail.nl kpnplanet.nl xs4all.nl telenet.be "
    "skynet.be comcast.net verizon.net att.net sbcglobal.net bellsouth.net cox.net btinternet.com sky.com "
    "virginmedia.com ntlworld.com talktalk.net mail.ru bk.ru inbox.ru list.ru internet.ru rambler.ru "
    "yandex.ru yandex.com ya.ru ukr.net wp.pl onet.pl op.pl o2.pl interia.pl seznam.cz centrum.cz azet.sk "
    "freemail.hu citromail.hu abv.bg qq.com foxmail.com 163.com 126.com yeah.net sina.com sina.cn sohu.com "
    "naver.com daum.net hanmail.net rediffmail.com yopmail.com mailinator.com guerrillamail.com"
)
