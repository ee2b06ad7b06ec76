/** The object with some properties replaced; its methods still see the object itself. @internal */
export function over<T extends object>(object: T, replaced: object): T {
    return new Proxy(object, {
        get(target, key) {
            if (Object.hasOwn(replaced, key)) return (replaced as Record<PropertyKey, unknown>)[key];
            const value = Reflect.get(target, key, target);
            return typeof value === 'function' ? value.bind(target) : value;
        },
    });
}
