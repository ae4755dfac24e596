@NullMarked
package dev.lorikeet.cli.router;

import org.jspecify.annotations.NullMarked;
