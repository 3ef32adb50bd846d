"""The command that prints what a shell needs to complete commands, recipes, options, their choices, and run folders."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, get_args

from genwerk.cli import parsing
from genwerk.cli.words import flags, flat, negated, of, typed_alone
from genwerk.commands import COMMANDS
from genwerk.commands import command as data
from genwerk.commands.command import MACHINE, Command, Option, Positional
from genwerk.commands.results import Note
from genwerk.commands.training import Train
from genwerk.runs.session import Session

BASH = r"""# Completes genwerk in bash; write it to ~/.local/share/bash-completion/completions/genwerk
_genwerk() {
    local cur=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} command=${COMP_WORDS[1]}
    local commands=@COMMANDS@
    local recipes=@RECIPES@
    local options= choices= runs=
    case $command in
@OPTIONS@
    esac
    case $command:$before in
@CHOICES@
    esac
    case $command:$COMP_CWORD in
@PLACES@
    esac
    if [[ $COMP_CWORD == 1 ]]; then
        choices=$commands
    elif [[ -z $choices && $cur == -* ]]; then
        choices=$options
    elif [[ -z $choices && $before != -* ]]; then
        local config
        for config in */config.json runs/*/config.json; do
            [[ -e $config ]] && runs+=" ${config%/config.json}"
        done
        choices=$runs
    fi
    COMPREPLY=( $(compgen -W "$choices" -- "$cur") )
}
complete -o default -F _genwerk genwerk"""

ZSH = """#compdef genwerk
# Completes genwerk in zsh; write it to a file that ~/.zshrc sources
autoload -U +X bashcompinit && bashcompinit
"""


@dataclass(frozen=True, kw_only=True)
class Completion(Command):
    """Print the script that completes commands, recipes, options and run folders in a shell.

    Bash: `genwerk completion bash > ~/.local/share/bash-completion/completions/genwerk`. Zsh: `genwerk completion zsh >
    ~/.genwerk.zsh`, and `source ~/.genwerk.zsh` in ~/.zshrc. Fish: `genwerk completion fish >
    ~/.config/fish/completions/genwerk.fish`. Recipes and options are those of now: print it again after an update.
    """

    group = MACHINE

    shell: Annotated[Literal["bash", "zsh", "fish"], Positional()]
    """The shell that is to complete."""

    def run(self, session: Session) -> Iterator[Note]:
        from genwerk.recipes import REGISTRY

        offered = {name: list(_options(command)) for name, command in COMMANDS.items()}
        if self.shell == "fish":
            yield Note(_fish(offered, sorted(REGISTRY)), whole=True)
        else:
            yield Note((ZSH if self.shell == "zsh" else "") + _bash(offered, sorted(REGISTRY)), whole=True)


def _options(command: type[Command]) -> Iterator[Option]:
    """The options of ``command``, with the settings of every recipe and the sampling options of every model."""
    yield from (option for section in parsing.sections(command, None) for option in section.options)
    if command is Train:
        from genwerk.recipes import REGISTRY

        found: dict[str, Option] = {}
        for entry in REGISTRY.values():
            found |= {option.name: option for option in flat(of(entry.make(entry.spec)))}
        yield from found.values()
    if data.samples(command):
        from genwerk.core.options import kinds

        yield from (option for kind in kinds() for option in flat(of(kind())))


def _spelt(options: Iterable[Option]) -> list[str]:
    names = [(flags(option), option) for option in options]
    every = [
        name for spelt, o in names for name in (*spelt, *([negated(spelt[-1])] if spelt and o.type is bool else []))
    ]
    return sorted({name for name in every if name.startswith("--")} | {"--help", "--help-all"})


def _choices(option: Option) -> Sequence[str]:
    """The words that an option takes, where it takes only some."""
    kinds: list[Any] = [option.type, *get_args(option.type)]
    return next(([*map(str, get_args(kind))] for kind in kinds if typed_alone(kind)), [])


def _places(offered: dict[str, list[Option]], recipes: str) -> dict[str, str]:
    """The words that may come first after a command, where these are known, for a shell; ``recipes`` are those."""
    first = {name: next((option for option in own if option.has(Positional)), None) for name, own in offered.items()}
    words = {
        name: recipes if option.name == "recipe" else f"'{' '.join(_choices(option))}'"
        for name, option in first.items()
        if option is not None
    }
    return {name: each for name, each in words.items() if each != "''"}


def _bash(offered: dict[str, list[Option]], recipes: Sequence[str]) -> str:
    options = [f"        {name}) options='{' '.join(_spelt(own))}' ;;" for name, own in offered.items()]
    choices = {f"{name}:{flag}": _choices(o) for name, own in offered.items() for o in own for flag in flags(o)}
    places = [f"        {name}:2) choices={words} ;;" for name, words in _places(offered, "$recipes").items()]
    filled = {
        "COMMANDS": f"'{' '.join(offered)}'",
        "RECIPES": f"'{' '.join(recipes)}'",
        "OPTIONS": "\n".join(options),
        "CHOICES": "\n".join(f"        {at}) choices='{' '.join(words)}' ;;" for at, words in choices.items() if words),
        "PLACES": "\n".join(places),
    }
    script = BASH
    for name, text in filled.items():
        script = script.replace(f"@{name}@", text)
    return script


def _fish(offered: dict[str, list[Option]], recipes: Sequence[str]) -> str:
    lines = ["# Completes genwerk in fish; write it to ~/.config/fish/completions/genwerk.fish"]
    lines += [f"complete -c genwerk -n __fish_use_subcommand -f -a {name}" for name in offered]
    places = _places(offered, f"'{' '.join(recipes)}'")
    lines += [
        f"complete -c genwerk -n '__fish_seen_subcommand_from {name}' -f -a {each}" for name, each in places.items()
    ]
    for name, own in offered.items():
        there = f"complete -c genwerk -n '__fish_seen_subcommand_from {name}'"
        plain = set(_spelt(own))
        for option in own:
            for flag in (each for each in flags(option) if each in plain):
                words = _choices(option)
                lines.append(f"{there} -l {flag[2:]}" + (f" -x -a '{' '.join(words)}'" if words else ""))
                plain.discard(flag)
        lines += [f"{there} -l {flag[2:]}" for flag in sorted(plain)]
    return "\n".join(lines)
